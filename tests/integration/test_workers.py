"""pytest-xdist: each level is loaded once, a GPU for each worker, the serial records, and what a crash leaves."""

import gzip
import json
from collections import Counter

import pytest

QUICK = ("--limit", "4", "--threads", "1")
TWO_WORKERS = ("-n", "2", "--dist", "loadgroup")


def pending(suite):
    return sorted(json.loads((suite.path / ".pytest_cache/v/cache/lastfailed").read_text()))


def node_ids(*cases):
    return sorted(f"benchmarks/test_accuracy.py::test_accuracy[{case}]" for case in cases)


def errors(result):
    """Lines on stderr, without what pytest-benchmark says whenever there are workers."""
    return [line for line in result.errlines if line.startswith(("ERROR", "INTERNAL", "Traceback"))]


COUNT = """
import glu_lib.experiment
import glu_lib.pytest_plugin.summary as summary

def noted(what, real):
    def call(*args, **options):
        with open("calls.txt", "a") as file:
            file.write(what(*args) + "\\n")
        return real(*args, **options)
    return call

Experiment = glu_lib.experiment.Experiment
Experiment._prepare = noted(lambda _self, model, pruning: f"load {model.key}-{pruning.key}", Experiment._prepare)
summary.write_tables = noted(lambda *_: "tables", summary.write_tables)
summary.write_report = noted(lambda *_: "report", summary.write_report)
"""


def results(folder):
    """Records and samples by name, without time, energy and the state of the machine."""
    found = {}
    for path in folder.glob("individual_files/*/*/*.json"):
        record = json.loads(path.read_text())
        for name in ("timing", "energy", "memory"):
            record.pop(name, None)
        record["pruning"].pop("prune_s")
        found[path.name] = record
    found |= {path.name: gzip.decompress(path.read_bytes()) for path in folder.glob("samples/*/*/*.jsonl.gz")}
    return found


def test_workers_load_each_level_once_and_give_the_serial_records(suite):
    suite.makepyfile(count=COUNT)
    suite.syspathinsert()
    selection = ("-k", "nano and (p0 or p40) and (architecture or facts or sums or truth)")
    parallel = suite.runpytest_subprocess(*selection, *QUICK, *TWO_WORKERS, "-p", "count", "--results-dir", "two")
    parallel.assert_outcomes(passed=8)
    parallel.stdout.fnmatch_lines(["glu width pruning: 8 cases of nano in 2 (model, level) groups, 0 done"])
    calls = Counter((suite.path / "calls.txt").read_text().splitlines())
    assert calls == {"load nano-p0": 1, "load nano-p40": 1, "tables": 1, "report": 1}
    serial = suite.runpytest_subprocess(*selection, *QUICK, "--results-dir", "one")
    serial.assert_outcomes(passed=8, deselected=1020)
    one, two = results(suite.path / "one"), results(suite.path / "two")
    assert one == two
    assert len(one) == 8 + 6


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


CRASH = """
import os
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item):
    if "nano-p20-facts" in item.nodeid and "CRASH" in os.environ:
        os.abort()
"""


def test_a_worker_that_crashes_is_replaced_and_lf_runs_what_it_died_of(suite, monkeypatch):
    suite.makepyfile(crash=CRASH)
    suite.syspathinsert()
    cases = [f"nano-{level}-{task}" for level in ("p0", "p20", "p40") for task in ("facts", "sums")]
    cache = suite.path / ".pytest_cache/v/cache"
    cache.mkdir(parents=True)
    (cache / "lastfailed").write_text(json.dumps(dict.fromkeys(node_ids(*cases), True)))
    monkeypatch.setenv("CRASH", "1")
    # With --lf the list of what is left gets shorter while the replacement collects: it has to find the whole of it.
    result = suite.runpytest_subprocess("--lf", *QUICK, *TWO_WORKERS, "-p", "crash")
    assert result.parseoutcomes() == {"passed": 5, "failed": 1}
    result.stdout.fnmatch_lines(["replacing crashed worker gw?", "worker 'gw?' crashed while running *nano-p20-facts*"])
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()
    assert pending(suite) == node_ids("nano-p20-facts")
    monkeypatch.delenv("CRASH")
    suite.runpytest_subprocess("--lf", *QUICK).assert_outcomes(passed=1)
    assert not pending(suite)


# Two GPUs, asked for through the driver; the cases are those that need no device.
GPUS = """
import os
import sys
from types import SimpleNamespace

import glu_lib.gpus
import pytest

UUIDS = ["GPU-aaaa", "GPU-bbbb", "GPU-cccc"]
sys.modules["pynvml"] = SimpleNamespace(
    NVMLError=KeyError,
    nvmlInit=lambda: None,
    nvmlDeviceGetCount=lambda: len(UUIDS),
    nvmlDeviceGetHandleByIndex=UUIDS.__getitem__,
    nvmlDeviceGetUUID=lambda handle: handle,
    nvmlDeviceGetName=lambda handle: f"model {handle}",
    nvmlDeviceGetCudaComputeCapability=lambda _handle: (8, 0),
    nvmlDeviceGetDeviceHandleFromMigDeviceHandle={}.__getitem__,
)
glu_lib.gpus._torch_has_cuda = lambda: True

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item):
    with open("gpus.txt", "a") as file:
        names = ("PYTEST_XDIST_WORKER", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")
        file.write(" ".join(os.environ.get(name, "-") for name in names) + "\\n")
    if "nano-p0-architecture" in item.nodeid:
        os.abort()
"""


def test_each_worker_gets_a_gpu_of_the_users_and_its_replacement_the_same(suite, monkeypatch):
    suite.makepyfile(gpus=GPUS)
    suite.syspathinsert()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-a")
    selection = ("benchmarks/test_architecture.py", "-p", "gpus")
    result = suite.runpytest_subprocess(*selection, *TWO_WORKERS)
    assert result.parseoutcomes() == {"passed": 34, "failed": 1}
    result.stdout.fnmatch_lines(["on cuda (model GPU-cccc), bfloat16, batch 32"])
    rows = [line.split() for line in (suite.path / "gpus.txt").read_text().splitlines()]
    gpus = {worker: gpu for worker, gpu, _ in rows}
    assert (gpus["gw0"], gpus["gw1"]) == ("GPU-cccc", "GPU-aaaa")
    assert gpus["gw2"] == gpus[rows[0][0] if len([row for row in rows if row[0] == rows[0][0]]) == 1 else "gw0"]
    assert {order for _, _, order in rows} == {"PCI_BUS_ID"}
    record = json.loads((suite.path / "results/individual_files/nano/p10/nano-p10-architecture.json").read_text())
    assert record["environment"]["gpu"] in ("model GPU-cccc", "model GPU-aaaa")

    crowded = suite.runpytest_subprocess(*selection, "-n", "3", "--dist", "loadgroup", "--rerun")
    assert crowded.ret == pytest.ExitCode.USAGE_ERROR
    assert errors(crowded) == ["ERROR: -n 3: 3 workers on 2 GPUs would share one; use -n 2"]
