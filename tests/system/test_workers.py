"""pytest-xdist: each level is loaded once, a GPU for each worker, the serial records, and what a crash leaves."""

import json
from collections import Counter

import pytest
from run_results import results

QUICK = ("--limit", "4", "--threads", "1")
TWO_WORKERS = ("-n", "2", "--dist", "loadgroup")


def pending(suite):
    return sorted(json.loads((suite.path / ".pytest_cache/v/cache/lastfailed").read_text()))


def errors(result):
    """Lines on stderr, without what pytest-benchmark says whenever there are workers."""
    return [line for line in result.errlines if line.startswith(("ERROR", "INTERNAL", "Traceback"))]


def test_workers_load_each_level_once_and_give_the_serial_records(suite, all_items):
    selection = ("-k", "nano and (p0 or p40) and (architecture or facts or sums or truth)")
    parallel = suite.runpytest_subprocess(
        *selection, *QUICK, *TWO_WORKERS, "-p", "counted_calls", "--results-dir", "two"
    )
    parallel.assert_outcomes(passed=8)
    parallel.stdout.fnmatch_lines(["glu width pruning: 8 cases of nano in 2 (model, level) groups, 0 done"])
    calls = Counter((suite.path / "calls.txt").read_text().splitlines())
    assert calls == {"load nano-p0": 1, "load nano-p40": 1, "tables": 1, "report": 1}
    serial = suite.runpytest_subprocess(*selection, *QUICK, "--results-dir", "one")
    serial.assert_outcomes(passed=8, deselected=all_items - 8)
    one, two = results(suite.path / "one"), results(suite.path / "two")
    assert one == two
    assert len(one) == 8 + 6
    (path,) = suite.path.glob("two/individual_files/nano/p40/nano-p40-facts*.json")
    energy = json.loads(path.read_text())["energy"]
    assert energy["total_j"] is None  # one machine's energy, two workers
    assert "other workers" in energy["cpu"]["reason"]


def test_workers_without_groups_are_refused_with_one_line_and_ordinary_tests_are_not(suite):
    result = suite.runpytest_subprocess("-k", "nano and p40", *QUICK, "-n", "2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert errors(result) == [
        "ERROR: -n 2 --dist load: each level would be loaded by several workers; add --dist loadgroup"
    ]
    assert "INTERNALERROR" not in result.stdout.str()
    assert not (suite.path / "results").exists()
    assert not (suite.path / ".pytest_cache/v/cache/lastfailed").exists()
    suite.makepyfile(test_ordinary="import pytest\n@pytest.mark.parametrize('n', range(6))\ndef test_it(n): pass")
    for dist in ("load", "loadgroup"):
        suite.runpytest_subprocess("test_ordinary.py", "-n", "2", "--dist", dist).assert_outcomes(passed=6)


def test_each_worker_gets_a_gpu_and_one_that_crashes_is_replaced_on_the_same(suite, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-a")
    monkeypatch.setenv("CRASH", "1")
    ids = [
        f"benchmarks/test_architecture.py::test_architecture[nano-p{level}-architecture]" for level in range(0, 70, 10)
    ]
    cache = suite.path / ".pytest_cache/v/cache"
    cache.mkdir(parents=True)
    (cache / "lastfailed").write_text(json.dumps(dict.fromkeys(ids, True)))
    # With --lf what is left gets less while the replacement collects: it has to find what the others found.
    result = suite.runpytest_subprocess("--lf", *TWO_WORKERS, "-p", "three_gpus")
    assert result.parseoutcomes() == {"passed": 6, "failed": 1}
    result.stdout.fnmatch_lines(["on cuda (model GPU-cccc), bfloat16, batch 32"])
    result.stdout.fnmatch_lines(["replacing crashed worker gw?", "worker 'gw?' crashed while running *nano-p20-*"])
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()
    rows = [line.split() for line in (suite.path / "gpus.txt").read_text().splitlines()]
    assert sorted(name for *_, name in rows) == sorted(name.partition("::")[2] for name in ids)  # nothing twice
    gpus = {worker: gpu for worker, gpu, _, _ in rows}
    assert {gpus["gw0"], gpus["gw1"]} == {"GPU-cccc", "GPU-aaaa"}
    (crashed,) = [worker for worker, _, _, name in rows if "nano-p20-" in name]
    assert gpus.get("gw2", gpus[crashed]) == gpus[crashed]  # the others may have been faster than it
    assert {order for _, _, order, _ in rows} == {"PCI_BUS_ID"}
    records = [json.loads(path.read_text()) for path in suite.path.glob("results/individual_files/nano/*/*.json")]
    assert {record["environment"]["gpu"] for record in records} == {"model GPU-cccc", "model GPU-aaaa"}
    assert pending(suite) == [ids[2]]

    crowded = suite.runpytest_subprocess("--lf", "-n", "3", "--dist", "loadgroup", "-p", "three_gpus")
    assert crowded.ret == pytest.ExitCode.USAGE_ERROR
    assert errors(crowded) == ["ERROR: -n 3: 3 workers would have to share 2 GPUs; use -n 2"]
    monkeypatch.delenv("CRASH")
    suite.runpytest_subprocess("--lf", "-p", "three_gpus").assert_outcomes(passed=1)
    assert not pending(suite)
