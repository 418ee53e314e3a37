"""Under pytest-xdist: a GPU for each worker, and what the controller checks and notes for all of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.nodeid import NodeId  # pytest's cache is keyed by it, and the controller has no items to take it from

from glu_lib.errors import SettingsError
from glu_lib.frontends.pytest_plugin.collection import DEFAULT_SELECTION_INPUT, case_by_node_id, is_default_selection
from glu_lib.frontends.pytest_plugin.hints import no_match_lines
from glu_lib.frontends.pytest_plugin.mirror import PENDING_PROPERTY
from glu_lib.frontends.pytest_plugin.options import EXPERIMENT
from glu_lib.frontends.pytest_plugin.resume import GPU, begin
from glu_lib.frontends.pytest_plugin.summary import header_lines
from glu_lib.machine.cpus import check_threads
from glu_lib.machine.gpus import VISIBLE, GpuPool, visible_gpus

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
    """In a worker, see only the GPU that the controller allotted: before anything asks which there are."""
    if gpu := getattr(config, "workerinput", {}).get(_GPU_INPUT):
        os.environ[VISIBLE] = gpu


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """In a worker, select with --lf what was pending when the run began: a late worker must collect what others did."""
    given = getattr(session.config, "workerinput", {}).get(_LASTFAILED_INPUT)
    plugin = session.config.pluginmanager.get_plugin("lfplugin")
    if given is not None and plugin:
        plugin.lastfailed = {NodeId.parse(name): True for name in given}
        if session.config.getoption("lf"):
            plugin._last_failed_paths = plugin.get_last_failed_paths()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    """Tell a worker what was selected when the run began, and which GPU is its own."""
    stash = node.config.stash
    if _INPUT not in stash:
        plugin = node.config.pluginmanager.get_plugin("lfplugin")
        stash[_INPUT] = {
            DEFAULT_SELECTION_INPUT: is_default_selection(node.config),
            _LASTFAILED_INPUT: [str(name) for name in plugin.lastfailed] if plugin else None,
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
    """Let the worker that replaces this one have its GPU."""
    node.config.stash[_POOL].give_back(node.gateway.id)
    if node in node.config.stash[_NODES]:  # Ctrl-C in a worker is told twice
        node.config.stash[_NODES].remove(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling | None:
    """Keep levels together where the user asks for groups."""
    from glu_lib.frontends.pytest_plugin.scheduling import LevelScheduling

    return LevelScheduling(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: WorkerController, ids: Sequence[str]) -> None:
    """In the controller, which collects nothing itself: begin the run with what the first worker has collected."""
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
    """One line why these workers cannot run the suite's cases; empty if they can.

    Args:
        workers: how many.
        dist: pytest-xdist's way to share tests out.
        device: as torch names it.
        gpus: how many GPUs there are for them.
    """
    remedy = f"use -n {gpus}" if gpus > 1 else "leave out -n"
    if workers > 1 and dist != "loadgroup":
        return f"-n {workers} --dist {dist}: each level would be loaded by several workers; add --dist loadgroup"
    if ":" in device:
        return (
            f"--device {device} with -n {workers}: each worker gets a GPU of its own; leave out --device and choose "
            f"GPUs with {VISIBLE}, or leave out -n"
        )
    if device.startswith("cuda") and workers > gpus:
        return f"-n {workers}: {workers} workers on {gpus} GPU{'s' * (gpus != 1)} would share one; {remedy}"
    return ""


@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Give a worker whose GPU has failed no further levels, as long as another one can take them."""
    node: WorkerController | None = getattr(report, "node", None)
    if node is None or dict(report.user_properties).get(PENDING_PROPERTY) != GPU:
        return
    if any(other is not node and not other.shutting_down for other in node.config.stash[_NODES]):
        node.shutdown()
