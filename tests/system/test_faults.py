"""Faults while a run goes on: what was finished stays, nothing torn counts, the next run does exactly what was left."""

import json
import os
import random
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from glu_lib.results.record import read_record, read_scored
from glu_lib.results.records import AccuracyRecord
from glu_lib.results.store import Store
from glu_lib.results.unfinished import FLUSH_S
from glu_lib.run.experiment import Experiment
from glu_lib.run.session import Session
from glu_lib.study import STUDY
from glu_lib.study.cases import Case
from glu_lib.study.pruning import Pruning
from glu_lib.study.settings import Settings

QUICK = ("--limit", "4", "--threads", "1")
SELECTION = ("-k", "nano and (p0 or p40)")
CASES = 16


def command(*arguments):
    return [sys.executable, "-m", "pytest", "-p", "faults", *QUICK, *arguments]


def start(suite, *arguments, env=None, **streams):
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} | streams
    return suite.popen(command(*arguments), env=env, **streams)


def run(suite, *arguments, **environment):
    """A whole run; its exit code, its output and how many cases came out how."""
    with start(suite, *arguments, env=environment) as process:
        output, _ = process.communicate(timeout=300)
    counts = Counter({word: int(count) for count, word in re.findall(r"(\d+) (passed|failed|skipped|error)", output)})
    return process.returncode, output, counts


def records(suite):
    return sorted(suite.path.glob("results/individual_files/*/*/*.json"))


def wait_for(suite, count, process):
    deadline_s = time.monotonic() + 120
    while len(records(suite)) < count:
        assert process.poll() is None, "the run ended too early"
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def pending(suite):
    return set(json.loads((suite.path / ".pytest_cache/v/cache/lastfailed").read_text()))


def check_whole(suite):
    """Every case has exactly one readable record, and nothing else was left behind."""
    found = records(suite)
    assert len({read_record(path).case.id for path in found}) == len(found) == CASES
    store = Store(suite.path / "results")
    for path in found:
        if isinstance(record := read_record(path), AccuracyRecord):
            assert len(store.read_samples(record.samples)) == record.samples.count
    assert not list(store.root.rglob(".*.tmp"))
    assert not list(store.root.rglob("unfinished/**/*.jsonl"))
    assert pending(suite) == set()


def finish(suite, *arguments):
    """The next run does exactly what had not finished, and then all is whole."""
    left = CASES - len(records(suite))
    code, output, counts = run(suite, *arguments)
    assert (code, counts["passed"]) == (0, left), output
    check_whole(suite)


@pytest.mark.parametrize(
    ("number", "resume"), [(signal.SIGTERM, ("--lf",)), (signal.SIGINT, SELECTION), (signal.SIGHUP, ("--lf",))]
)
def test_a_signal_stops_a_run_as_ctrl_c_does_and_it_says_how_to_go_on(suite, number, resume):
    process = start(suite, *SELECTION, env={"SLOW_RENAME_S": "0.05"})
    wait_for(suite, 5, process)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    said = re.search(r"stopped: (\d+) cases? not finished; resume with: (pytest --lf .*)", output)
    left = int(said[1])
    assert said[2] == "pytest --lf -p faults --limit 4 --threads 1"  # what was chosen, without the selection
    assert left == len(pending(suite))
    assert CASES - len(records(suite)) <= left <= CASES - len(records(suite)) + 1
    assert not list(suite.path.glob("results/leases/*"))
    assert "report:" in output  # what there is was consolidated
    finish(suite, *resume)


@pytest.mark.parametrize("grace_s", [0.0, 0.3])
def test_sigterm_and_sigkill_after_a_grace_time_lose_nothing(suite, grace_s):
    """As Slurm preempts a job; the grace is too short for the tables."""
    process = start(suite, *SELECTION, env={"SLOW_RENAME_S": "0.2"})
    wait_for(suite, 3, process)
    process.send_signal(signal.SIGTERM)
    time.sleep(grace_s)
    process.kill()
    process.communicate(timeout=60)
    finish(suite, "--lf")


def test_workers_are_stopped_with_their_controller(suite):
    process = start(suite, *SELECTION, "-n2", "--dist=loadgroup", env={"SLOW_RENAME_S": "0.3"})
    wait_for(suite, 3, process)
    process.terminate()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    said = re.search(r"stopped: (\d+) cases? not finished; resume with: (pytest --lf .*)", output)
    assert said[2].endswith("-n2 --dist=loadgroup")
    # A case that a worker ends while its controller stops is told when the line has been written.
    assert CASES - len(records(suite)) <= len(pending(suite)) <= int(said[1]) < CASES
    finish(suite, "--lf")


def test_a_lost_terminal_loses_nothing(suite):
    master, slave = os.openpty()
    process = start(suite, *SELECTION, stdin=slave, stdout=slave, stderr=slave, on_terminal=True)
    os.close(slave)
    wait_for(suite, 5, process)
    os.close(master)  # SIGHUP, and every further word to the terminal is an error
    process.wait(timeout=60)
    assert process.returncode == pytest.ExitCode.INTERRUPTED
    assert (suite.path / "results/results.csv").exists()  # what there is was consolidated
    assert (suite.path / "results/report/index.html").exists()
    assert not list(suite.path.glob("results/leases/*"))
    assert len(pending(suite)) >= CASES - len(records(suite)) > 0
    finish(suite, "--lf")


class Watched:
    """A run whose output is read while it goes on, and which waits before it writes its tables."""

    ARCHITECTURE = ("-k", "nano and architecture")  # seven cases that load no model
    NOTED = "stopping: writing the tables; press Ctrl-C again to skip them"

    def __init__(self, suite, *arguments, on_terminal=False, **environment):
        self.suite, self.output = suite, ""
        self.reader, writer = os.openpty() if on_terminal else os.pipe()
        self.process = start(
            suite,
            *(arguments or self.ARCHITECTURE),
            env={"TABLES_WAIT": "1", "SLOW_RENAME_S": "0.3"} | environment,
            stdout=writer,
            stderr=writer,
            **({"stdin": writer, "on_terminal": True} if on_terminal else {}),
        )
        os.close(writer)

    def press_ctrl_c(self):
        os.write(self.reader, b"\x03")  # to the controller and its workers, as a terminal does

    def wait_for_file(self, name):
        deadline_s = time.monotonic() + 120
        while not (self.suite.path / name).exists():
            assert self.process.poll() is None, self.rest()
            assert time.monotonic() < deadline_s
            time.sleep(0.01)

    def read_until(self, words):
        while words not in self.output:
            more = self._read()
            assert more, self.output
            self.output += more

    def allow(self, name):
        (self.suite.path / name).touch()

    def rest(self):
        """The whole output, once the run has ended."""
        while more := self._read():
            self.output += more
        self.process.wait(timeout=60)
        os.close(self.reader)
        return self.output.replace("\r\n", "\n")

    def _read(self):
        assert select.select([self.reader], [], [], 120)[0], f"nothing more was written: {self.output}"
        try:
            return os.read(self.reader, 4096).decode()
        except OSError:  # how the end of a terminal shows
            return ""


@pytest.fixture
def watch(suite):
    """Starts a `Watched` run; what a failed test leaves of it is killed."""
    runs = []

    def begin(*arguments, **options):
        runs.append(Watched(suite, *arguments, **options))
        return runs[-1]

    yield begin
    for run in runs:
        run.process.kill()


def check_stopped_with_tables(run, output, suite):
    assert run.process.returncode == pytest.ExitCode.INTERRUPTED, output
    assert "Traceback" not in output
    assert "INTERNALERROR" not in output
    assert output.count(Watched.NOTED) == 1
    assert re.search(r"\nreport:  .*index.html", output)
    said = re.search(r"stopped: (\d+) cases? not finished; resume with: pytest --lf -p faults ", output)
    assert int(said[1]) == len(pending(suite))
    assert (suite.path / "results/results.csv").exists()


@pytest.mark.parametrize("numbers", [(signal.SIGINT, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT)])
def test_a_second_signal_while_tables_are_written_is_noted_and_costs_nothing(suite, watch, numbers):
    """Batch systems send one signal after another before they kill."""
    run = watch()
    wait_for(suite, 2, run.process)
    run.process.send_signal(numbers[0])
    run.wait_for_file("tables_begun")
    run.process.send_signal(numbers[1])
    run.read_until(Watched.NOTED)
    run.allow("tables_may_end")
    check_stopped_with_tables(run, run.rest(), suite)


@pytest.mark.parametrize("workers", [(), ("-n2", "--dist=loadgroup")], ids=["alone", "workers"])
def test_ctrl_c_pressed_twice_at_once_keeps_the_tables(suite, watch, workers):
    run = watch(*Watched.ARCHITECTURE, *workers, on_terminal=True, UNWIND_WAIT="1")
    run.wait_for_file("in_case")
    run.press_ctrl_c()
    run.wait_for_file("unwinding")
    run.wait_for_file("heard")  # a worker may unwind before its controller has heard
    run.press_ctrl_c()
    run.read_until(Watched.NOTED)
    run.allow("may_unwind")
    run.wait_for_file("tables_begun")
    run.allow("tables_may_end")
    check_stopped_with_tables(run, run.rest(), suite)


@pytest.mark.parametrize("workers", [(), ("-n2", "--dist=loadgroup")], ids=["alone", "workers"])
def test_a_third_ctrl_c_ends_at_once_in_one_line(suite, watch, workers):
    run = watch(*Watched.ARCHITECTURE, *workers, "--results-dir=my results", on_terminal=True)
    while len(list(suite.path.glob("my results/individual_files/*/*/*.json"))) < 2:
        assert run.process.poll() is None, run.rest()
        time.sleep(0.02)
    run.press_ctrl_c()
    run.wait_for_file("tables_begun")
    run.press_ctrl_c()
    run.read_until(Watched.NOTED)
    run.press_ctrl_c()
    output = run.rest()  # though the tables may not end
    assert run.process.returncode == pytest.ExitCode.INTERRUPTED
    assert "Traceback" not in output
    folder = suite.path / "my results"
    said = re.search(
        rf"\nstopped without writing tables \(glu consolidate '{folder}' writes them\): (\d+) cases? not "
        rf"finished; resume with: (pytest --lf .*)\n$",
        output,
    )
    assert int(said[1]) == len(pending(suite))
    assert shlex.split(said[2])[-1] == "--results-dir=my results"


def test_ctrl_c_while_the_tables_of_a_finished_run_are_written_does_not_lose_them(suite, watch):
    run = watch("-k", "nano and architecture and (p0 or p40)", on_terminal=True)
    run.wait_for_file("tables_begun")
    run.press_ctrl_c()
    run.read_until(Watched.NOTED)
    run.allow("tables_may_end")
    output = run.rest()
    assert run.process.returncode == 0, output
    assert "2 passed" in output
    assert "Traceback" not in output
    assert (suite.path / "results/results.csv").exists()


def test_a_crash_of_the_interpreter_costs_the_case_at_hand_and_no_lease_blocks_it(suite):
    code, _, _ = run(suite, *SELECTION, CRASH_IN="nano-p40-sums")
    assert code == -signal.SIGABRT
    assert 8 <= len(records(suite)) < CASES
    left = sorted(path.name for path in suite.path.glob("results/leases/*"))
    assert left == ["nano-p40-sums-limit4.lease", "nano-p40.level"]
    shutil.rmtree(suite.path / ".pytest_cache")  # without it the records still know
    finish(suite, *SELECTION)
    done = json.loads((suite.path / ".pytest_cache/v/glu/done").read_text())
    assert len(done) == CASES


def test_a_full_disk_costs_no_record_and_no_measuring_while_it_lasts(suite):
    code, output, counts = run(suite, *SELECTION, FULL_BETWEEN="24,27")
    assert code == 1
    assert output.count("No space left on device") == 1
    assert counts["failed"] + counts["error"] == 1
    assert counts["skipped"] >= 1
    assert "cases wait for the results folder; see the error above, then: pytest --lf" in output
    assert "Traceback" not in output
    assert counts["passed"] == len(records(suite)) > CASES // 2  # it went on when there was space again
    assert len(pending(suite)) == CASES - counts["passed"]
    finish(suite, "--lf")


@pytest.fixture
def small_disk(suite):
    """A file system of its own for the results: it can be full and read-only, for root as well."""
    folder = suite.path / "results"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", folder], capture_output=True, check=False
    ).returncode:
        pytest.skip("file systems can only be mounted by root")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_small_disk_fills_up_and_grows_again(suite, small_disk):
    code, output, counts = run(suite, *SELECTION)
    assert (code, counts["failed"] + counts["error"]) == (1, 1), output
    assert "No space left on device" in output
    assert "Traceback" not in output
    assert 0 < len(records(suite)) == counts["passed"] < CASES
    for path in records(suite):
        read_record(path)
    subprocess.run(["mount", "-o", "remount,size=50m", small_disk], check=True)
    finish(suite, "--lf")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    code, output, counts = run(suite, *SELECTION)
    assert (code, counts["skipped"]) == (0, CASES)  # all is done: nothing has to be written
    code, output, counts = run(suite, *SELECTION, "--rerun")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert re.search("ERROR: --results-dir '.*results' cannot be written .Read-only file system.; check free", output)


def test_a_results_folder_that_vanishes_is_not_made_anew(suite):
    code, output, counts = run(suite, *SELECTION, VANISH_AFTER="5")
    assert code == 1
    assert counts["passed"] == 5
    assert counts["failed"] + counts["error"] == 1
    assert counts["skipped"] == CASES - 6
    assert re.search("--results-dir '.*results' is gone; mount or restore it, then: pytest --lf", output)
    assert "Traceback" not in output
    assert not (suite.path / "results/individual_files").exists()
    shutil.rmtree(suite.path / "results", ignore_errors=True)
    (suite.path / "elsewhere").rename(suite.path / "results")
    finish(suite, "--lf")


def test_a_folder_where_no_lease_can_be_written_is_said_once(suite):
    (suite.path / "results").mkdir()
    (suite.path / "results/leases").write_text("a file in the folder's place")
    code, output, counts = run(suite, "-k", "nano and p0 and (facts or sums)")
    assert (code, counts["error"], counts["skipped"]) == (1, 1, 1)
    assert re.search("leases: leases cannot be written .*; check free space and permissions, or choose another", output)
    (suite.path / "results/leases").unlink()
    (suite.path / "results/individual_files").rmdir()
    (suite.path / "results/individual_files").write_text("a file in the folder's place")
    code, output, _ = run(suite, "-k", "nano and p0 and facts")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "cannot be written (Not a directory); check free space and permissions, or choose another folder" in output


def test_a_cache_that_cannot_be_written_costs_only_lf(suite):
    code, output, counts = run(suite, "-k", "nano and p0 and architecture", "-o", "cache_dir=pytest.ini/cache")
    assert (code, counts["passed"]) == (0, 1), output
    assert (
        "pytest's cache cannot be written (Not a directory), so --lf will not work; resume with the same selection"
        in output
    )
    assert len(records(suite)) == 1


def test_a_case_that_another_run_is_still_at_is_no_good_end(suite):
    """Whoever waits for all cases by the exit code must not be told that they are there."""
    other_run = Session(Experiment(Settings(results_dir=suite.path / "results", limit=4)))
    other = Case(STUDY.models["nano"], Pruning(0), STUDY.tasks["facts"])
    assert other_run.claim(other)
    code, output, counts = run(suite, "-k", "nano and p0 and (facts or sums)", PATIENCE_S="1")
    # The other run has the level, so that the other case of it waits as well.
    assert (code, counts["passed"], counts["failed"] + counts["error"], counts["skipped"]) == (1, 0, 1, 1), output
    assert (
        "another run on this results folder is still measuring nano-p0-facts; when that run has ended: pytest --lf"
        in output
    )
    assert len(pending(suite)) == 2
    other_run.end()
    code, output, counts = run(suite, "--lf")
    assert (code, counts["passed"]) == (0, 2), output


def test_a_kill_during_a_slow_rename_leaves_no_half_record(suite):
    process = start(suite, *SELECTION, env={"SLOW_RENAME_S": "0.3"})
    wait_for(suite, 3, process)
    deadline_s = time.monotonic() + 60
    while not list(suite.path.glob("results/individual_files/*/*/.*.tmp")):
        assert time.monotonic() < deadline_s
        time.sleep(0.005)
    process.kill()  # the record is written in full beside its place
    process.communicate()
    assert list(suite.path.glob("results/individual_files/*/*/.*.tmp"))
    for path in records(suite):
        read_record(path)
    finish(suite, "--lf")


def test_the_lease_of_a_machine_that_died_is_taken_over_and_each_case_is_run_once(suite):
    first = start(suite, *SELECTION, env={"HOST": "one", "SLOW_RENAME_S": "0.1"})
    wait_for(suite, 4, first)
    first.send_signal(signal.SIGSTOP)  # as a machine that sleeps: its lease is no longer refreshed
    before = {path: path.stat().st_mtime_ns for path in records(suite)}
    assert list(suite.path.glob("results/leases/*"))
    second = start(suite, *SELECTION, "-o", "cache_dir=second", env={"HOST": "two"})
    output, _ = second.communicate(timeout=300)
    assert second.returncode == 0, output
    assert f"{CASES - len(before)} passed" in output
    assert len(records(suite)) == CASES
    assert all(path.stat().st_mtime_ns == changed for path, changed in before.items())
    first.send_signal(signal.SIGCONT)  # it wakes up: what was done without it is not torn and not done again
    output, _ = first.communicate(timeout=120)
    assert first.returncode == 0, output
    check_whole(suite)


def test_a_case_killed_at_random_moments_goes_on_where_it_was(suite):
    """kill -9 in the middle, twice: the record is the undisturbed one's, and at most seconds are repeated."""
    forward_s, kills = 0.05, 2
    arguments = ("-k", "nano and p40 and (narrative or sums)", "--limit", "64", "--batch-size", "1")

    def passes(name):
        log = suite.path / name
        return len(log.read_text()) if log.exists() else 0

    def options(name):
        return {"SLOW_FORWARD_S": str(forward_s), "PASSES": name}

    code, output, _ = run(suite, *arguments, "--results-dir=undisturbed", **options("whole"))
    assert code == 0, output
    chance, was_kept = random.Random(time.time_ns()), False
    for place in sorted(chance.sample(range(passes("whole") // 10, passes("whole")), kills)):
        process = start(suite, *arguments, env=options("disturbed"))
        while passes("disturbed") < place and process.poll() is None:
            time.sleep(0.01)
        process.kill()
        process.communicate()
        was_kept |= bool(list(suite.path.rglob("unfinished/**/*.jsonl")))  # else it was in a case's first two seconds
    code, output, _ = run(suite, *arguments, **options("disturbed"))
    assert code == 0, output
    again_s = forward_s * (passes("disturbed") - passes("whole"))
    assert again_s <= kills * (FLUSH_S + 1)  # a batch takes far less than a second here
    found, wanted = (Store(suite.path / folder) for folder in ("results", "undisturbed"))
    for path in wanted.record_paths():
        mine, theirs = read_scored(found.root / wanted.relative(path)), read_scored(path)
        for part in ("score", "done_key", "runtime", "samples"):
            assert getattr(mine, part) == getattr(theirs, part)
        assert mine.pruning.kept_neurons == theirs.pruning.kept_neurons
        assert found.read_samples(mine.samples) == wanted.read_samples(theirs.samples)
    assert any(read_scored(path).resumed for path in found.record_paths()) == was_kept
    assert not list(found.root.rglob("unfinished/**/*.jsonl"))
