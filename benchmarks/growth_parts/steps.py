"""The steps whose costs are measured, each in a process of its own: seconds, and the memory that it took."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

from glu_lib.analysis import conclude, consolidate, headline_tables, write_tables
from glu_lib.frontends.pytest_plugin.internals import NodeId
from glu_lib.frontends.pytest_plugin.mirror import CASE_PROPERTY, Mirror
from glu_lib.results.staleness import Status
from glu_lib.run.session import Session
from growth_parts.made_study import SUITE, experiment_of, grown_cases, write_records

_KIB = 1024


class Measured:
    """Processor seconds and bytes of one step."""

    def __init__(self) -> None:
        self.seconds, self.bytes = 0.0, 0

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Measure the block: processor time, in which others do not count, and the rise of the peak memory."""
        before = _peak_bytes()
        start_s = time.process_time()
        yield
        self.seconds = time.process_time() - start_s
        self.bytes = _peak_bytes() - before


def declare(folder: Path, measured: Measured) -> None:
    """Read the study file, each model's configuration, and build the cases."""
    with measured.watch():
        grown_cases(experiment_of(folder / "study.toml", folder / "empty"))


def plan(folder: Path, measured: Measured) -> None:
    """Look up the state of every case in an empty folder."""
    experiment = experiment_of(folder / "study.toml", folder / "empty")
    cases = grown_cases(experiment)
    session = Session(experiment)
    with measured.watch():
        session.begin(cases)
    assert len(session.plan.pending) == len(cases)


def write(folder: Path, measured: Measured) -> None:
    """Write a record and samples of every case."""
    experiment = experiment_of(folder / "study.toml", folder / "results")
    cases = grown_cases(experiment)
    with measured.watch():
        write_records(experiment, cases)


def read(folder: Path, measured: Measured) -> None:
    """Look up the state of every case in a folder where all have records: each is read and checked."""
    experiment = experiment_of(folder / "study.toml", folder / "results")
    cases = grown_cases(experiment)
    session = Session(experiment)
    with measured.watch():
        session.begin(cases)
    assert session.plan.count(Status.DONE) == len(cases), next(iter(session.plan.states.values()))


def consolidation(folder: Path, measured: Measured) -> None:
    """Read all records into the tidy table."""
    with measured.watch():
        found = consolidate(folder / "results")
    assert not found.problems, found.problems[0]


def comparisons(folder: Path, measured: Measured) -> None:
    """Compare every level with p0 item by item, and levels of one size; includes consolidation."""
    with measured.watch():
        found = conclude(folder / "results")
    assert not found.problems, found.problems[0]
    assert any(change.comparison for change in found.changes)


def tables(folder: Path, measured: Measured) -> None:
    """Write the tables, and arrange the headline scores by model and level."""
    rows = consolidate(folder / "results").rows
    with measured.watch():
        write_tables(folder, rows)
        headline_tables(rows)


def cache_writes(folder: Path, measured: Measured) -> None:
    """Keep pytest's cache current while every case passes."""
    ids = [NodeId.parse(f"benchmarks/test_accuracy.py::test_accuracy[{case}]") for case in _ids(folder)]
    plugin, place = SimpleNamespace(lastfailed={}), folder / "cache_writes"
    for name in ("cache", "glu"):
        (place / name).mkdir(parents=True, exist_ok=True)
    config = SimpleNamespace(
        cache=SimpleNamespace(_getvaluepath=place.joinpath),
        pluginmanager=SimpleNamespace(get_plugin=lambda _name: plugin),
    )
    with measured.watch():
        mirror = Mirror(config)  # type: ignore[arg-type]
        mirror.start(ids, ids, [])
        for id_ in ids:
            plugin.lastfailed.pop(id_)
            properties = [(CASE_PROPERTY, str(id_))]
            report = SimpleNamespace(id=id_, when="call", outcome="passed", passed=True, user_properties=properties)
            mirror.pytest_runtest_logreport(report)  # type: ignore[arg-type]
        mirror.pytest_sessionfinish()


def collect(folder: Path, measured: Measured) -> None:
    """`pytest --collect-only` of the suite's cases, as a command."""
    _command(measured, ["pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-m", SUITE], folder)


def listing(folder: Path, measured: Measured) -> None:
    """`glu list`, as a command, where all cases have records."""
    _command(measured, ["glu_lib", "list"], folder)


STEPS: dict[str, Callable[[Path, Measured], None]] = {
    "declare": declare,
    "collect": collect,
    "plan": plan,
    "write": write,
    "read": read,
    "list": listing,
    "consolidate": consolidation,
    "compare": comparisons,
    "tables": tables,
    "cache": cache_writes,
}
COMMANDS = ("collect", "list")  # their start and the built-in study's cases are measured apart, and taken off


def _ids(folder: Path) -> list[str]:
    return [case.id for case in grown_cases(experiment_of(folder / "study.toml", folder / "empty"))]


def _command(measured: Measured, words: list[str], folder: Path) -> None:
    options = [f"--study={folder / 'study.toml'}", f"--results-dir={folder / 'results'}"]
    done = subprocess.run([sys.executable, "-m", *words, *options], capture_output=True, text=True, check=False)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    measured.seconds, measured.bytes = used.ru_utime + used.ru_stime, used.ru_maxrss * _KIB
    if done.returncode not in (0, 5):  # 5: pytest found no case, as in the built-in study alone
        raise RuntimeError(f"{' '.join(words)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB


def main(name: str, folder: str) -> None:
    """Run one step, and print its figures as a JSON line."""
    measured = Measured()
    STEPS[name](Path(folder), measured)
    print(json.dumps({"seconds": measured.seconds, "bytes": measured.bytes}))
