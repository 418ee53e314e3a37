"""Support of pytest-xdist: one GPU per worker; the controller checks the selection and keeps the cache."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from glu_lib.errors import SettingsError
from glu_lib.frontends.pytest_plugin.collection import DEFAULT_SELECTION_INPUT, case_by_node_id, is_default_selection
from glu_lib.frontends.pytest_plugin.hints import no_match_lines
from glu_lib.frontends.pytest_plugin.internals import NodeId, last_failed, set_last_failed
from glu_lib.frontends.pytest_plugin.mirror import PENDING_PROPERTY
from glu_lib.frontends.pytest_plugin.options import EXPERIMENT, OWN_SHAPES_INPUT
from glu_lib.frontends.pytest_plugin.resume import begin
from glu_lib.frontends.pytest_plugin.summary import header_lines
from glu_lib.machine.cpus import check_threads
from glu_lib.machine.gpus import VISIBLE, GpuPool, visible_gpus
from glu_lib.models.own_shapes import own_shape_keys
from glu_lib.run.plan import GPU

if TYPE_CHECKING:
    from xdist.scheduler.protocol import Scheduling
    from xdist.workermanage import WorkerController

_POOL = pytest.StashKey[GpuPool]()
_INPUT = pytest.StashKey[dict[str, Any]]()
_NODES = pytest.StashKey[list["WorkerController"]]()
_BEGUN = pytest.StashKey[bool]()
_GPU_INPUT, _LASTFAILED_INPUT = "glu_gpu", "glu_lastfailed"


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Restrict a worker to the GPU that the controller assigned, before CUDA is initialised."""
    if gpu := getattr(config, "workerinput", {}).get(_GPU_INPUT):
        os.environ[VISIBLE] = gpu


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """With --lf, select in a worker the cases that were pending at the start: all workers must collect the same."""
    given = getattr(session.config, "workerinput", {}).get(_LASTFAILED_INPUT)
    if given is not None:
        set_last_failed(session.config, given)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    """Send a worker the selection as of the start of the run, and assign it a GPU."""
    stash = node.config.stash
    if _INPUT not in stash:
        pending = last_failed(node.config)
        stash[_INPUT] = {
            DEFAULT_SELECTION_INPUT: is_default_selection(node.config),
            _LASTFAILED_INPUT: None if pending is None else list(map(str, pending)),
            OWN_SHAPES_INPUT: own_shape_keys(stash[EXPERIMENT].study),
        }
        on_gpu = stash[EXPERIMENT].environment.device.startswith("cuda")
        stash[_POOL] = GpuPool(list(visible_gpus()) if on_gpu else [])
        stash[_NODES] = []
    node.workerinput |= stash[_INPUT]
    if node.gateway.spec.popen and (gpu := stash[_POOL].take(node.gateway.id)):
        node.workerinput[_GPU_INPUT] = gpu
    stash[_NODES].append(node)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: WorkerController) -> None:
    """Free the GPU of a worker that ended, for the worker that replaces it."""
    node.config.stash[_POOL].give_back(node.gateway.id)
    if node in node.config.stash[_NODES]:  # after Ctrl-C in a worker the hook runs twice
        node.config.stash[_NODES].remove(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling | None:
    """With --dist loadgroup, run all cases of a level in one worker."""
    from glu_lib.frontends.pytest_plugin.scheduling import LevelScheduling

    return LevelScheduling(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: WorkerController, ids: Sequence[str]) -> None:
    """Begin the run in the controller, which collects nothing itself, with the cases of the first worker."""
    config = node.config
    cases = {NodeId.parse(name.split("@")[0]): case for name in ids if (case := case_by_node_id(config, name))}
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if _BEGUN in config.stash or (ids and not cases):
        return
    config.stash[_BEGUN] = True
    if not ids:
        _say(reporter, no_match_lines(config))
        return
    pool = config.stash[_POOL]
    if refusal := refuse_workers(
        node.workerinput["workercount"],
        config.getvalue("dist"),
        config.stash[EXPERIMENT].environment.device,
        len(pool.free) + len(pool.taken),
    ):
        raise pytest.UsageError(refusal)
    try:
        check_threads(config.stash[EXPERIMENT].settings.threads, node.workerinput["workercount"])
    except SettingsError as error:
        raise pytest.UsageError(str(error)) from None
    begin(config, cases)
    if config.get_verbosity() >= 0:
        _say(reporter, header_lines(config, list(cases.values())))
    if progress := config.pluginmanager.get_plugin("glu-progress"):
        progress.expect(list(cases.values()))


def _say(reporter: pytest.TerminalReporter | None, lines: Iterable[str]) -> None:
    if reporter is not None:
        reporter.ensure_newline()
        for line in lines:
            reporter.write_line(line)


def refuse_workers(workers: int, dist: str, device: str, gpus: int) -> str:
    """Explain in one line why these workers cannot run the suite's cases; empty if they can.

    Args:
        workers: number of workers.
        dist: value of pytest-xdist's option --dist.
        device: torch's name of the device.
        gpus: number of visible GPUs.
    """
    remedy = f"use -n {gpus}" if gpus > 1 else "leave out -n"
    if workers > 1 and dist != "loadgroup":
        return f"-n {workers} --dist {dist}: each level would be loaded by several workers; add --dist loadgroup"
    if ":" in device:
        return (
            f"--device {device} with -n {workers}: each worker gets its own GPU; leave out --device and choose "
            f"GPUs with {VISIBLE}, or leave out -n"
        )
    if device.startswith("cuda") and workers > gpus:
        return f"-n {workers}: {workers} workers would have to share {gpus} GPU{'s' * (gpus != 1)}; {remedy}"
    return ""


@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Shut down a worker whose GPU has failed, if another worker can take its remaining levels."""
    node: WorkerController | None = getattr(report, "node", None)
    if node is None or dict(report.user_properties).get(PENDING_PROPERTY) != GPU:
        return
    if any(other is not node and not other.shutting_down for other in node.config.stash[_NODES]):
        node.shutdown()
