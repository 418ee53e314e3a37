"""--cluster on a real cluster of two nodes: the serial records, what a lost worker or node costs, what is refused."""

import json
import os
import signal
import time
import xml.etree.ElementTree as ET

import psutil
import pytest
from local_hub import ROOT
from ray_nodes import PATIENT, add_node, running_cluster
from run_results import results

CASES = ("-k", "nano and (p0 or p40) and (architecture or facts or sums or truth)")
QUICK = ("--limit", "80", "--threads", "1", "--batch-size", "8")
LONG_S = 240.0


@pytest.fixture(scope="module")
def pause(tmp_path_factory):
    return tmp_path_factory.mktemp("pause")


@pytest.fixture(scope="module")
def cluster(pause, warm):
    """A head without CPUs and two nodes with one CPU each."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[cluster]'")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in warm.environment.items():
            patch.setenv(name, value)
        path = [str(ROOT), str(ROOT / "tests/plugins"), *filter(None, [os.environ.get("PYTHONPATH")])]
        patch.setenv("PYTHONPATH", os.pathsep.join(path))
        patch.setenv("PYTEST_PLUGINS", "paused_case")  # of the workers
        patch.setenv("PAUSE", str(pause))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        for name, value in PATIENT.items():
            patch.setenv(name, value)
        with running_cluster(2) as found:
            yield found


@pytest.fixture
def paused(pause):
    """Names the case that is to stop."""

    def name(case):
        (pause / "stopped").unlink(missing_ok=True)
        (pause / "case").write_text(case)

    yield name
    (pause / "case").unlink(missing_ok=True)


@pytest.fixture
def started(suite, cluster, monkeypatch, pause):
    """Starts a run on the cluster that goes on in the background."""
    monkeypatch.setenv("PAUSE", str(pause))

    def start(*options):
        words = (*CASES, *QUICK, f"--cluster={cluster.address}", "-p", "paused_case", *options)
        return suite.popen(suite._getpytestargs() + words)

    return start


def wait_for(path, process):
    end_s = time.monotonic() + LONG_S
    while not path.exists() or not path.stat().st_size:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end_s
        time.sleep(0.05)
    return path.read_text()


def pending(suite):
    return sorted(json.loads((suite.path / ".pytest_cache/v/cache/lastfailed").read_text()))


def errors(result):
    return [line for line in result.errlines if line.startswith(("ERROR", "INTERNAL", "Traceback"))]


def test_the_records_are_those_of_a_serial_run(suite, cluster):
    parallel = suite.runpytest_subprocess(
        *CASES, *QUICK, f"--cluster={cluster.address}", "--results-dir", "two", "--junitxml", "two.xml"
    )
    parallel.assert_outcomes(passed=8, deselected=parallel.parseoutcomes()["deselected"])
    parallel.stdout.fnmatch_lines(["cluster: 2 workers; *", "  nano-p40-truth *acc*"])
    assert not errors(parallel)
    assert "(pid=" not in parallel.stdout.str()  # no line of a worker
    names = {case.get("name") for case in ET.parse(suite.path / "two.xml").iter("testcase")}
    serial = suite.runpytest_subprocess(*CASES, *QUICK, "--results-dir", "one")
    serial.assert_outcomes(passed=8, deselected=parallel.parseoutcomes()["deselected"])
    one, two = results(suite.path / "one"), results(suite.path / "two")
    assert one == two
    assert len(one) == 8 + 6
    assert len(names) == 8
    lm_eval = [
        sorted(path.parts[-3:-1] for path in (suite.path / name).glob("lm_eval/*/*/*")) for name in ("one", "two")
    ]
    assert lm_eval[0] == lm_eval[1]
    assert not list((suite.path / "two/leases").glob("*.lease*"))


def test_a_killed_worker_costs_the_case_and_the_rest_of_its_level_goes_on(suite, started, paused, pause):
    paused("nano-p40-truth")
    run = started()
    os.kill(int(wait_for(pause / "stopped", run)), signal.SIGKILL)
    (pause / "case").unlink()
    text, _ = run.communicate()
    assert run.returncode == pytest.ExitCode.TESTS_FAILED
    (line,) = [line for line in text.splitlines() if line.startswith("nano-p40-truth: the worker on node")]
    assert line.endswith("in the middle of this case; go on with: pytest --lf")
    assert "7 passed" in text
    assert "1 failed" in text
    assert pending(suite) == ["benchmarks/test_accuracy.py::test_accuracy[nano-p40-truth]"]


def test_the_case_of_a_lost_node_goes_on_elsewhere(suite, cluster, started, paused, pause):
    paused("nano-p0-truth")
    run = started()
    raylet = psutil.Process(int(wait_for(pause / "stopped", run))).ppid()
    wait_for(suite.path / "results/unfinished/nano/p0/nano-p0-truth-limit80.jsonl", run)
    (lost,) = [
        node for node in cluster.worker_nodes if raylet in [found.process.pid for found in node.all_processes["raylet"]]
    ]
    cluster.remove_node(lost, allow_graceful=False)
    (pause / "case").unlink()
    try:
        text, _ = run.communicate()
    finally:
        add_node(cluster, 1)
    assert run.returncode == pytest.ExitCode.OK, text
    assert "is lost" in text
    (path,) = suite.path.glob("results/individual_files/nano/p0/nano-p0-truth*.json")
    assert json.loads(path.read_text())["resumed"]["answers"] > 0


def test_a_killed_driver_has_the_answers_and_another_run_goes_on_from_them(suite, started, paused, pause):
    paused("nano-p40-truth")
    run = started()
    worker = psutil.Process(int(wait_for(pause / "stopped", run)))
    wait_for(suite.path / "results/unfinished/nano/p40/nano-p40-truth-limit80.jsonl", run)
    run.kill()
    run.communicate()
    worker.wait(LONG_S)  # Ray ends the workers of a driver that is gone
    (pause / "case").unlink()
    left = pending(suite)
    assert "benchmarks/test_accuracy.py::test_accuracy[nano-p40-truth]" in left
    result = suite.runpytest_subprocess("--lf", *QUICK)
    result.assert_outcomes(passed=len(left))
    (path,) = suite.path.glob("results/individual_files/nano/p40/nano-p40-truth*.json")
    assert json.loads(path.read_text())["resumed"]["answers"] > 0


def test_another_version_is_refused_before_anything_is_measured(suite, cluster):
    result = suite.runpytest_subprocess(*CASES, *QUICK, f"--cluster={cluster.address}", "-p", "other_lm_eval")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = errors(result)
    assert "has lm_eval" in line
    assert "this machine 0.3" in line
    assert not (suite.path / "results").exists()


def test_ctrl_c_keeps_the_answers_and_says_how_to_go_on(suite, started, paused, pause):
    paused("nano-p0-truth")
    run = started()
    wait_for(pause / "stopped", run)
    run.send_signal(signal.SIGTERM)  # for which Ray has a handler of its own
    text, _ = run.communicate()
    assert run.returncode == pytest.ExitCode.INTERRUPTED
    assert "not finished; resume with: pytest --lf" in text
    assert list(suite.path.glob("results/unfinished/nano/p0/nano-p0-truth*.jsonl"))


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            ("-n", "2", "--dist", "loadgroup"),
            "--cluster with -n: the cluster has workers of its own, one per GPU; leave out -n and --dist",
        ),
        (("--pdb",), "--cluster with --pdb: cases run on other machines; leave out --pdb, or --cluster"),
        (
            ("--device", "cuda:1"),
            "--cluster with --device cuda:1: Ray gives each worker a GPU of its own; leave out --device",
        ),
        (
            ("-p", "no_ray"),
            '--cluster needs Ray, which is not installed: pip install -e ".[cluster]"',
        ),
    ],
)
def test_what_a_cluster_cannot_do_is_refused_in_one_line(suite, options, line):
    if "cuda:1" in options:
        options = (*options, "-p", "three_gpus")
    result = suite.runpytest_subprocess("--cluster=auto", "-k", "nano and p40", *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert errors(result) == [f"ERROR: {line}"]
    assert not (suite.path / "results").exists()


def test_energy_workloads_are_refused_with_the_command_that_measures_them(suite, cluster):
    words = ("-m", "carbon", "-k", "nano and p40")
    result = suite.runpytest_subprocess(*words, f"--cluster={cluster.address}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = errors(result)
    assert "cannot be measured while other workers share the machines" in line
    assert line.endswith(" -m carbon -k 'nano and p40'")


def test_no_cluster_is_one_line(suite):
    pytest.importorskip("ray")
    result = suite.runpytest_subprocess("--cluster=127.0.0.1:9", "-k", "nano and p40")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert errors(result) == [
        "ERROR: --cluster=127.0.0.1:9: no Ray cluster answers at this address; start one with: ray start --head "
        "--disable-usage-stats"
    ]
