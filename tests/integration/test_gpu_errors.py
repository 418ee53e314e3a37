"""A GPU that fails for good, cases and levels that fail: nothing is lost, and the next model finds the memory free."""

import json

import pytest

QUICK = ("--limit", "2", "--threads", "1")
CAUSE = "the GPU failed (CUDA error: device-side assert triggered) and this process can no longer use it; finished "

# CUDA's own behaviour: after a device-side assert each further call fails in the same way, that of the cache too.
POISON = """
import os

import torch

ERROR = "CUDA error: device-side assert triggered\\nCUDA kernel errors might be asynchronously reported at some other"
PLACE, CASE = os.environ["POISON"].split()

class Gpu:
    is_lost = False

def fail(*_args, **_options):
    Gpu.is_lost = True
    torch.cuda.is_available, torch.cuda.empty_cache = (lambda: True), fail
    raise torch.AcceleratorError(ERROR)

def poisoned(place, real):
    def call(*args, **options):
        if Gpu.is_lost or (place == PLACE and CASE in os.environ.get("PYTEST_CURRENT_TEST", "")):
            fail()
        return real(*args, **options)
    return call

def pytest_configure():
    from transformers.models.llama.modeling_llama import LlamaModel
    import glu_lib.measure.prepared

    LlamaModel.forward = poisoned("forward", LlamaModel.forward)
    glu_lib.measure.prepared.release_memory = poisoned("release", glu_lib.measure.prepared.release_memory)
"""


def pending(suite):
    return sorted(json.loads((suite.path / ".pytest_cache/v/cache/lastfailed").read_text()))


@pytest.mark.parametrize(
    ("place", "case", "passed"),
    # A level is released when the next one's first case asks for its own.
    [("forward", "p20-sums", 6), ("release", "p20-facts", 5)],
)
def test_a_gpu_that_fails_for_good_is_one_line_and_the_rest_stays_pending(suite, monkeypatch, place, case, passed):
    suite.makepyfile(poison=POISON)
    suite.syspathinsert()
    monkeypatch.setenv("POISON", f"{place} {case}")
    selection = ("-k", "nano and (p0 or p20 or p40) and (architecture or facts or sums)")
    result = suite.runpytest_subprocess(*selection, *QUICK, "-p", "poison")
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] == passed
    assert outcomes.get("failed", 0) + outcomes.get("errors", 0) == 1
    assert outcomes["skipped"] == 9 - passed - 1
    text = result.stdout.str() + result.stderr.str()
    assert text.count(f"{CAUSE}cases are kept, run the others in a new process: pytest --lf (in a notebook, ") == 1
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text
    result.stdout.fnmatch_lines(
        [f"blocked: {9 - passed} cases wait for the GPU (its error is above); then: pytest --lf"]
    )
    waiting = ["p20-facts", "p20-sums", "p40-facts", "p40-sums"][-(9 - passed) :]
    assert pending(suite) == [f"benchmarks/test_accuracy.py::test_accuracy[nano-{case}]" for case in waiting]
    assert waiting[0] == case
    again = suite.runpytest_subprocess("--lf", "--collect-only", "-q")
    assert sorted(line for line in again.outlines if "::" in line) == pending(suite)


# Bytes of all tensors alive, each storage once; nothing is collected first: what waits for the collector counts.
WATCH = """
import gc
import os

def live_bytes():
    import torch
    tensors = [found for found in gc.get_objects() if issubclass(type(found), torch.Tensor)]
    storages = {found.untyped_storage().data_ptr(): found.untyped_storage().nbytes() for found in tensors}
    return sum(storages.values())

def note(what):
    with open("memory.txt", "a") as file:
        file.write(f"{what} {live_bytes()}\\n")

def current(case):
    return case in os.environ.get("PYTEST_CURRENT_TEST", "")

def pytest_configure():
    import glu_lib.run.preparing
    from glu_lib.errors import MeasurementError
    from glu_lib.measure.prepared import PreparedModel
    from transformers.models.llama.modeling_llama import LlamaModel

    load, prune, release, forward = (
        glu_lib.run.preparing.load_model, glu_lib.run.preparing.prune, PreparedModel.release, LlamaModel.forward
    )

    def watched_load(*args):
        note("load")
        return load(*args)

    def watched_release(self):
        release(self)
        note("release")

    def failing_prune(model, pruning, **options):
        if pruning.percent == 30:
            raise KeyError("a defect")
        return prune(model, pruning, **options)

    def failing_forward(self, *args, **options):
        found = forward(self, *args, **options)
        if current("p10-facts") or current("p20-narrative"):
            raise IndexError("a defect")
        if current("p60-narrative"):
            raise MeasurementError("impossible figures")
        return found

    glu_lib.run.preparing.load_model, glu_lib.run.preparing.prune = watched_load, failing_prune
    PreparedModel.release, LlamaModel.forward = watched_release, failing_forward
"""


def test_whatever_fails_memory_returns_before_the_next_model_is_loaded(suite, all_items):
    suite.makepyfile(watch=WATCH)
    suite.syspathinsert()
    result = suite.runpytest_subprocess("-k", "nano and (facts or narrative)", "--limit", "1", "-p", "watch", "-rs")
    result.assert_outcomes(passed=9, failed=3, errors=1, skipped=1, deselected=all_items - 14)
    text = result.stdout.str()
    assert text.count("Traceback (most recent call last)") == 1  # of the level that could not be prepared
    assert text.count("in failing_prune") == 1
    result.stdout.fnmatch_lines(
        [
            "KeyError: 'a defect'",
            "SKIPPED*: blocked: nano-p30 could not be prepared: KeyError: 'a defect'",
        ]
    )
    result.stdout.fnmatch_lines(["blocked: 2 cases wait for nano-p30 (its error is above); then: pytest --lf"])
    assert [name.partition("[")[2] for name in pending(suite)] == [
        "nano-p10-facts]",
        "nano-p20-narrative]",
        "nano-p30-facts]",
        "nano-p30-narrative]",
        "nano-p60-narrative]",
    ]
    lines = [line.split() for line in (suite.path / "memory.txt").read_text().splitlines()]
    # p30 fails between its load and its release.
    assert [what for what, _ in lines] == ["load", "release"] * 3 + ["load"] + ["load", "release"] * 3
    assert len({int(count) for _, count in lines[1:]}) == 1, lines
    assert int(lines[1][1]) < 100_000  # the model has 4 MB


def test_a_worker_whose_gpu_fails_leaves_the_other_levels_to_the_others(suite, monkeypatch):
    suite.makepyfile(poison=POISON)
    suite.syspathinsert()
    monkeypatch.setenv("POISON", "forward p0-facts")
    selection = ("-k", "nano and (p0 or p20 or p40 or p60) and (facts or sums)")
    result = suite.runpytest_subprocess(*selection, *QUICK, "-p", "poison", "-n", "2", "--dist", "loadgroup")
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] + outcomes["skipped"] == 7
    assert outcomes["failed"] == 1
    assert outcomes["skipped"] in (1, 3)  # the rest of its level, and of the next if it had been given that already
    text = result.stdout.str() + result.stderr.str()
    assert text.count(CAUSE) == 1
    assert "INTERNALERROR" not in text
    waiting = 1 + outcomes["skipped"]
    result.stdout.fnmatch_lines([f"blocked: {waiting} cases wait for the GPU (its error is above); then: pytest --lf"])
    assert len(pending(suite)) == waiting
