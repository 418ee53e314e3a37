"""A GPU that fails for good, cases and levels that fail: nothing is lost, and the next model finds the memory free."""

import json

import pytest

QUICK = ("--limit", "2", "--threads", "1")
CAUSE = "the GPU failed (CUDA error: device-side assert triggered) and this process can no longer use it; finished "


def pending(suite):
    return sorted(json.loads((suite.path / ".pytest_cache/v/cache/lastfailed").read_text()))


@pytest.mark.parametrize(
    ("place", "case", "passed"),
    # A level is released when the next one's first case asks for its own.
    [("forward", "p20-sums", 6), ("release", "p20-facts", 5)],
)
def test_a_gpu_that_fails_for_good_is_one_line_and_the_rest_stays_pending(suite, monkeypatch, place, case, passed):
    monkeypatch.setenv("POISON", f"{place} {case}")
    selection = ("-k", "nano and (p0 or p20 or p40) and (architecture or facts or sums)")
    result = suite.runpytest_subprocess(*selection, *QUICK, "-p", "lost_gpu")
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] == passed
    assert outcomes.get("failed", 0) + outcomes.get("errors", 0) == 1
    assert outcomes["skipped"] == 9 - passed - 1
    text = result.stdout.str() + result.stderr.str()
    assert text.count(f"{CAUSE}cases are kept, run the others in a new process: pytest --lf (in a notebook, ") == 1
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text
    result.stdout.fnmatch_lines(
        [f"blocked: {9 - passed} cases wait for the GPU; see the error above, then: pytest --lf"]
    )
    waiting = ["p20-facts", "p20-sums", "p40-facts", "p40-sums"][-(9 - passed) :]
    assert pending(suite) == [f"benchmarks/test_accuracy.py::test_accuracy[nano-{case}]" for case in waiting]
    assert waiting[0] == case
    again = suite.runpytest_subprocess("--lf", "--collect-only", "-q")
    assert sorted(line for line in again.outlines if "::" in line) == pending(suite)


def test_whatever_fails_memory_returns_before_the_next_model_is_loaded(suite, all_items):
    result = suite.runpytest_subprocess(
        "-k", "nano and (facts or narrative)", "--limit", "1", "-p", "live_memory", "-rs"
    )
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
    result.stdout.fnmatch_lines(["blocked: 2 cases wait for nano-p30; see the error above, then: pytest --lf"])
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
    monkeypatch.setenv("POISON", "forward p0-facts")
    selection = ("-k", "nano and (p0 or p20 or p40 or p60) and (facts or sums)")
    result = suite.runpytest_subprocess(*selection, *QUICK, "-p", "lost_gpu", "-n", "2", "--dist", "loadgroup")
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] + outcomes["skipped"] == 7
    assert outcomes["failed"] == 1
    assert outcomes["skipped"] in (1, 3)  # the rest of its level, and of the next if it had been given that already
    text = result.stdout.str() + result.stderr.str()
    assert text.count(CAUSE) == 1
    assert "INTERNALERROR" not in text
    waiting = 1 + outcomes["skipped"]
    result.stdout.fnmatch_lines([f"blocked: {waiting} cases wait for the GPU; see the error above, then: pytest --lf"])
    assert len(pending(suite)) == waiting
