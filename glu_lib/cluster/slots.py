"""The places for workers that the nodes of a cluster offer: one per GPU, or one per share of the CPUs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from glu_lib.errors import ClusterError

_KIND = "accelerator_type:"  # Ray's name of a resource that says which GPUs a node has


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for one worker.

    Attributes:
        node_id: Ray's id of the node.
        node: the node as messages name it.
        cpus: CPUs of the worker.
        gpus: 1, or 0 for a worker on CPUs.
        kind: Ray's name of the GPU, as `H100`; None for a worker on CPUs or an unknown GPU.
        beside: workers on the same node, this one included.
    """

    node_id: str
    node: str
    cpus: int
    gpus: int
    kind: str | None
    beside: int


def slots_of(nodes: Iterable[Mapping[str, Any]], device: str | None, cpus: int | None = None) -> list[Slot]:
    """The places of all nodes that are alive, in the order in which they are to be filled.

    If a node has GPUs, each GPU is a place. Without GPUs, or with `--device cpu`, each node is one place with all its
    CPUs, or as many places as `cpus` fits into them.

    Args:
        nodes: the nodes as `ray.nodes()` describes them.
        device: the run's `--device`; None if it was not given.
        cpus: the run's `--cluster-cpus`, CPUs of each worker; None if it was not given.

    Raises:
        ClusterError: if the cluster has no place.
    """
    alive = [node for node in nodes if node["Alive"]]
    on_gpus = device != "cpu" and any(_count(node, "GPU") for node in alive)
    if device is not None and device.startswith("cuda") and not on_gpus:
        raise ClusterError(f"--device {device}: no node of the cluster has a GPU; choose --device cpu, or leave it out")
    found = [_on_gpus(node, cpus) if on_gpus else _on_cpus(node, cpus) for node in alive]
    if not any(found):
        least = f"{cpus} CPUs for a worker (--cluster-cpus)" if cpus else "a CPU for a worker"
        raise ClusterError(f"--cluster: no node has {'a GPU and ' if on_gpus else ''}{least}; `ray status` shows them")
    # Nodes in turn, so that a run of few levels does not crowd on one of them.
    longest = max(map(len, found))
    return [slots[place] for place in range(longest) for slots in found if place < len(slots)]


def _on_gpus(node: Mapping[str, Any], cpus: int | None) -> list[Slot]:
    gpus = _count(node, "GPU")
    share = cpus or max(1, _count(node, "CPU") // max(1, gpus))
    count = min(gpus, _count(node, "CPU") // share)
    return [Slot(node["NodeID"], _name(node), share, 1, _kind(node), count)] * count


def _on_cpus(node: Mapping[str, Any], cpus: int | None) -> list[Slot]:
    share = cpus or _count(node, "CPU")
    count = _count(node, "CPU") // share if share else 0
    return [Slot(node["NodeID"], _name(node), share, 0, None, count)] * count


def _count(node: Mapping[str, Any], resource: str) -> int:
    return int(node["Resources"].get(resource, 0))


def _kind(node: Mapping[str, Any]) -> str | None:
    return next((name.removeprefix(_KIND) for name in sorted(node["Resources"]) if name.startswith(_KIND)), None)


def _name(node: Mapping[str, Any]) -> str:
    return f"{node['NodeManagerHostname']} ({node['NodeID'][:8]})"
