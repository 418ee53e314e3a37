"""A Ray cluster of several nodes on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Settings of Ray for busy cores, on which its processes take longer to start than it waits for.
PATIENT = {"RAY_agent_register_timeout_ms": "120000", "RAY_raylet_start_wait_time_s": "120"}
_ATTEMPTS = 2
_MEMORY_BYTES = 80 << 20  # the least that Ray takes for the objects of a node


@contextmanager
def running_cluster(nodes: int) -> Iterator[Any]:
    """A head without CPUs and `nodes` nodes with one CPU each; its processes have the environment of this moment."""
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    try:
        add_node(cluster, 0, include_dashboard=False)
        for _ in range(nodes):
            add_node(cluster, 1)
        yield cluster
    finally:
        cluster.shutdown()


def add_node(cluster: Any, cpus: int, **options: Any) -> None:
    """Add a node; the first one is the head. On busy cores its processes may be too slow for Ray: then once more."""
    for attempt in range(_ATTEMPTS):
        try:
            cluster.add_node(num_cpus=cpus, object_store_memory=_MEMORY_BYTES, include_log_monitor=False, **options)
        except Exception as error:
            if attempt == _ATTEMPTS - 1 or "timed out during startup" not in str(error):
                raise
        else:
            return
