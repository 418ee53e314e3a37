"""Ray: the only module that talks to it."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from glu_lib.cluster.actor import ClusterWorker
from glu_lib.cluster.slots import Slot
from glu_lib.errors import ClusterError

AUTO = "auto"
START_S = 180.0  # imports from a network folder take a minute
_CONNECT_S = 5.0
_FATE_S = 45.0  # Ray takes up to half a minute to declare a machine lost
_ADDRESS = re.compile(r"[\w.-]+:\d+|\[[0-9a-fA-F:]+\]:\d+")
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


@dataclass(slots=True)
class Handle:
    """A worker: its place and its actor."""

    slot: Slot
    actor: Any


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker that does not answer any more; `with_node`: because its machine is gone."""

    with_node: bool
    text: str


def connect(address: str) -> None:
    """Connect this process to a running cluster.

    Args:
        address: `auto`, or host and port of the head.

    Raises:
        ClusterError: if Ray is not installed or no cluster answers.
    """
    _check_address(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise ClusterError('--cluster needs Ray, which is not installed: pip install -e ".[cluster]"') from None
    _check_port(address)
    with _own_signals():
        try:
            # log_to_driver: lines of the workers would stand between those of pytest.
            ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
        except Exception as error:
            raise ClusterError(_explained(address, error)) from error


def disconnect() -> None:
    """Leave the cluster; its actors of this run end."""
    import ray

    with _own_signals():
        ray.shutdown()


def nodes() -> list[dict[str, Any]]:
    """The nodes of the cluster, as Ray describes them."""
    import ray

    return list(ray.nodes())


def start(slot: Slot) -> Handle:
    """Create the actor of a place; it is there when its first call answers. Ray repeats nothing."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    made = ray.remote(ClusterWorker).options(
        num_cpus=slot.cpus,
        num_gpus=slot.gpus,
        max_restarts=0,
        max_task_retries=0,
        scheduling_strategy=NodeAffinitySchedulingStrategy(slot.node_id, soft=False),
    )
    return Handle(slot, made.remote(slot.cpus, slot.beside))


def shared(value: Any) -> Any:
    """A value that is sent to each machine once, for calls of several workers."""
    import ray

    return ray.put(value)


def call(worker: Handle, name: str, *arguments: Any) -> Any:
    """Begin a call; `answer` waits for its end."""
    return getattr(worker.actor, name).remote(*arguments)


def first_ready(calls: Sequence[Any], wait_s: float) -> list[Any]:
    """The calls that have ended; waits at most `wait_s` seconds for the first."""
    import ray

    found, rest = ray.wait(list(calls), num_returns=1, timeout=wait_s)
    more = ray.wait(rest, num_returns=len(rest), timeout=0)[0] if rest else []
    return [*found, *more]


def answer(worker: Handle, call: Any, wait_s: float | None = None) -> Any:
    """What a call returned, or that its worker is `Lost`.

    Args:
        worker: whose call it is.
        call: the call.
        wait_s: how long it may take; None for ever.
    """
    import ray

    try:
        return ray.get(call, timeout=wait_s)
    except ray.exceptions.GetTimeoutError:
        return Lost(False, f"did not answer within {wait_s:g} s; is it busy with other work? `ray status` tells")
    except ray.exceptions.RayTaskError as error:
        return Lost(False, _last_line(error))
    except ray.exceptions.RayError as error:
        return Lost(_is_gone(worker, ray), _last_line(error))


def last(call: Any, wait_s: float) -> Any:
    """What a call returned, when the run ends anyway; None if its worker is lost or silent."""
    import ray

    try:
        return ray.get(call, timeout=wait_s)
    except ray.exceptions.RayError:
        return None


def dismiss(worker: Handle) -> None:
    """End the process of a worker, whatever it does."""
    import ray

    with contextlib.suppress(ray.exceptions.RayError, ValueError):
        ray.kill(worker.actor, no_restart=True)


def _is_gone(worker: Handle, ray: Any) -> bool:
    """Whether the machine of a lost worker is gone; waits until Ray knows what became of the actor."""
    end_s = time.monotonic() + _FATE_S
    while time.monotonic() < end_s:
        if not any(node["Alive"] for node in ray.nodes() if node["NodeID"] == worker.slot.node_id):
            return True
        try:
            ray.get(worker.actor.answers.remote(), timeout=1.0)
        except ray.exceptions.ActorDiedError:
            break
        except ray.exceptions.RayError:  # not available, or no answer yet: Ray is still finding out
            time.sleep(0.2)
        else:
            break  # it lives, but an answer of it is lost
    # A machine that is shut down in good order ends its processes before Ray takes it off the list.
    for _ in range(10):
        if not any(node["Alive"] for node in ray.nodes() if node["NodeID"] == worker.slot.node_id):
            return True
        time.sleep(0.2)
    return False


def _check_address(address: str) -> None:
    if address != AUTO and not _ADDRESS.fullmatch(address):
        raise ClusterError(
            f"--cluster={address}: give {AUTO}, on a machine of the cluster, or HOST:PORT of its head, as "
            "`ray start` prints them"
        )


def _check_port(address: str) -> None:
    """Ray itself would wait for a minute."""
    if address == AUTO:
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(_no_cluster(address)) from error


def _explained(address: str, error: Exception) -> str:
    if isinstance(error, ConnectionError):
        return _no_cluster(address) if address == AUTO else _not_let_in(address)
    return f"--cluster={address}: Ray cannot connect ({_last_line(error)})"


def _no_cluster(address: str) -> str:
    where = "on this machine" if address == AUTO else "at this address"
    return (
        f"--cluster={address}: no Ray cluster answers {where}; start one with: ray start --head --disable-usage-stats"
    )


def _not_let_in(address: str) -> str:
    return (
        f"--cluster={address}: what answers there does not let this process in; if it is a Ray cluster with a token: "
        "export RAY_AUTH_MODE=token, and put the token into ~/.ray/auth_token"
    )


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Keep this process's handlers: Ray installs one of its own for SIGTERM, which would end the run without tables."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for name in _SIGNALS if (number := getattr(signal, name, None))}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
