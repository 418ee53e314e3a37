"""Processes that are stopped and killed: real ones, that need no library but this package."""

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from gpu_parts import kill
from gpu_parts.killed_work import Job
from gpu_parts.processes import run_until
from gpu_parts.setup import ROOT

from glu_lib.errors import MeasurementError
from glu_lib.results.folder import ResultsFolder

# As the real work: tokens in a mapped file, answers in a journal. It writes the journal more often.
WORK = """
import sys, time
from pathlib import Path
sys.path[:0] = [{benchmarks!r}, {root!r}]
import numpy as np
from gpu_parts.killed_work import load_job
job = load_job(Path(sys.argv[1]))
tokens = np.memmap(job.path("tokens"), dtype=np.int64, mode="w+", shape=1)
answers = job.answers()
for number in range({answers}):
    tokens[0] += 10
    answers.hold(str(number), [-1.0, True])
    answers.flush()
    time.sleep(0.001)
if {answers} == job.requests:
    time.sleep(600)
"""


def run(code, seconds, patience_s, log):
    return run_until([sys.executable, "-c", code], time.monotonic() + seconds, patience_s, log)


def has_ended(number, patience_s=30):
    """Whether a process ends soon; nobody waits for an orphan's exit code in some containers, so it stays a zombie."""
    give_up_s = time.monotonic() + patience_s
    while time.monotonic() < give_up_s:
        try:
            if psutil.Process(number).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def test_a_process_that_ends_is_not_stopped(tmp_path):
    ended = run("print('one\\ntwo'); raise SystemExit(3)", 60, 0, tmp_path / "log")
    assert (ended.code, ended.was_stopped, ended.last_line) == (3, False, "two")


def test_a_process_is_asked_to_end_first(tmp_path):
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit('tables are written'))\n"
        "print('ready', flush=True)\ntime.sleep(600)"
    )
    ended = run(code, 4, 60, tmp_path / "log")
    assert (ended.code, ended.was_stopped, ended.last_line) == (1, True, "tables are written")


def test_a_process_that_does_not_end_is_killed_with_those_it_started(tmp_path):
    code = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True)\ntime.sleep(600)"
    )
    ended = run(code, 4, 0.1, tmp_path / "log")
    assert (ended.code, ended.was_stopped) == (-9, True)
    assert has_ended(int(ended.last_line))


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_a_process_ends_with_the_one_that_started_it(tmp_path):
    code = (
        f"import sys, time\nsys.path[:0] = [{str(ROOT / 'benchmarks')!r}, {str(ROOT)!r}]\n"
        "from pathlib import Path\nfrom gpu_parts.processes import run_until\n"
        "inner = 'import os, time; print(os.getpid(), flush=True); time.sleep(600)'\n"
        f"run_until([sys.executable, '-c', inner], time.monotonic() + 600, 0, Path({str(tmp_path / 'log')!r}))"
    )
    outer = subprocess.Popen([sys.executable, "-c", code])
    give_up_s = time.monotonic() + 60
    while not (tmp_path / "log").exists() or not (tmp_path / "log").read_text().strip():
        assert time.monotonic() < give_up_s
        assert outer.poll() is None
        time.sleep(0.05)
    inner = int((tmp_path / "log").read_text())
    outer.kill()
    outer.wait()
    assert has_ended(inner)


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A job whose process is a stand-in that gives so many answers; returns how to make it, and what was started."""
    ResultsFolder(tmp_path).check_writable()
    started = []

    def make(answers=None):
        found = Job(str(tmp_path), "killed", "llama1b", documents=1, journal="shared.jsonl")
        code = WORK.format(
            benchmarks=str(ROOT / "benchmarks"),
            root=str(ROOT),
            answers=found.requests if answers is None else answers,
        )

        def start(bench, wanted):
            started.append(subprocess.Popen([sys.executable, "-c", code, str(wanted.save())]))
            return started[-1]

        monkeypatch.setattr(kill, "_start", start)
        return found, started

    return make


def test_the_kill_comes_in_the_middle_and_leaves_journal_and_count(job):
    found, started = job()
    seconds = kill._kill_after(None, found, 0.3)
    assert started[0].returncode == -9
    assert found.forwarded_tokens() >= 10 * found.kept() > 0
    assert seconds >= 0.3


def test_work_that_was_over_before_the_kill_is_no_measurement(job):
    found, started = job(answers=3)
    with pytest.raises(MeasurementError, match="the work of 228 requests was over before it could be killed"):
        kill._kill_after(None, found, 60)
    assert started[0].returncode == 0


def test_a_process_that_fails_is_named_with_its_last_line(tmp_path, monkeypatch):
    found = Job(str(tmp_path), "whole", "llama1b", documents=1, journal="whole.jsonl")

    def start(bench, wanted):
        with wanted.path("log").open("wb") as log:
            return subprocess.Popen([sys.executable, "-c", "raise SystemExit('out of memory')"], stderr=log)

    monkeypatch.setattr(kill, "_start", start)
    with pytest.raises(MeasurementError, match="the process whole ended with 1: out of memory"):
        kill._finish(None, found)


def test_work_that_is_too_short_gets_more_documents(tmp_path, monkeypatch):
    asked = []

    def finish(bench, wanted):
        asked.append(wanted)
        return {"scoring_s": 0.02 * wanted.documents}

    monkeypatch.setattr(kill, "_finish", finish)
    job, found = kill._long_enough(None, Job(str(tmp_path), "whole", "llama1b", 50, "whole.jsonl"))
    assert [wanted.documents for wanted in asked] == [50, 375]
    assert (job.documents, found["scoring_s"]) == (375, 0.02 * 375)
    assert Path(job.folder) == tmp_path
