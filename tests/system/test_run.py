"""The main job through pytest: run, skip what is done, resume, refuse."""

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from glu_lib.measure.scoring.made_up_requests import SHAPES
from glu_lib.nano import MODEL_DIR
from glu_lib.results.record import sealed
from glu_lib.study import STUDY, LayerScan, Saturation, Workload
from glu_lib.study.cases import build_cases
from glu_lib.study.settings import Scorer

ROOT = Path(__file__).resolve().parents[2]

QUICK = ("--limit", "4", "--threads", "1")
TALKER = """
[models.talker]
source = "talker"
kind = "instruct"
levels = [0]
suites = ["own"]

[tasks.first_chat]
task = "nano_facts"
metric = "acc"
prompt_format = "chat"

[tasks.second_chat]
task = "nano_truth"
metric = "acc"
prompt_format = "chat"

[suites]
own = ["facts", "first_chat", "second_chat"]
"""
TWO_LEVELS = ("-k", "nano and (p0 or p40)")
CASES = build_cases(STUDY)
# What runs without -m: neither workloads nor layer scans, nor the benchmarks of speed and scoring.
WITHOUT_ENERGY = [case for case in CASES if not isinstance(case.subject, Workload | Saturation | LayerScan)]
NANO_CASES = [case for case in WITHOUT_ENERGY if case.model.key == "nano"]
OF_TWO_LEVELS = sum(case.pruning.key in ("p0", "p40") for case in NANO_CASES)


def marked(name, cases=CASES):
    return sum(name in case.marks for case in cases)


def records(suite):
    return sorted(path.stem for path in (suite.path / "results").glob("individual_files/*/*/*.json"))


def test_two_levels_are_run_then_skipped_then_stale(suite, all_items):
    first = suite.runpytest_subprocess(*TWO_LEVELS, *QUICK)
    first.assert_outcomes(passed=OF_TWO_LEVELS, deselected=all_items - OF_TWO_LEVELS)
    first.stdout.fnmatch_lines(
        [
            "glu width pruning: 16 cases of nano in 2 (model, level) groups, 0 done",
            "on cpu (*), float32, batch 32",
            "torch *, transformers *, optipfair *",
            "limited run: at most 4 samples per task",
            "  nano-p0-architecture     4.0x, *",
            "  nano-p40-narrative       word_perplexity *[[]16/16]",
            "nano, only 4 samples per task: headline metric per level, change against p0",
            "*facts *",
            "nano, only 4 samples per task: energy per case in joules (*), and time",
            "records: *individual_files",
            "report:  *report*index.html (to save its figures as files: glu report *",
            "tables:  *results.csv, results.json, results.parquet",
        ]
    )
    assert len(records(suite)) == OF_TWO_LEVELS
    assert len(json.loads((suite.path / "results/results.json").read_text())) >= OF_TWO_LEVELS

    written = [suite.path / "results" / name for name in ("report/index.html", "results.csv")]
    first_ns = [path.stat().st_mtime_ns for path in written]
    second = suite.runpytest_subprocess(*TWO_LEVELS, *QUICK, "-rs", "-p", "no_torch")
    second.assert_outcomes(skipped=OF_TWO_LEVELS, deselected=all_items - OF_TWO_LEVELS)
    assert [path.stat().st_mtime_ns for path in written] == first_ns  # nothing changed: nothing is written again
    assert summary(second) == summary(first)
    second.stdout.fnmatch_lines(["glu width pruning: 16 cases*16 done", "SKIPPED*done: *nano-p0-architecture.json"])

    path = suite.path / "results/individual_files/nano/p40/nano-p40-sums-limit4.json"
    record = json.loads(path.read_text())
    record["done_key"]["few-shot"] = 3
    path.write_text(json.dumps(sealed(record)))
    third = suite.runpytest_subprocess(*TWO_LEVELS, *QUICK)
    third.assert_outcomes(passed=1, skipped=OF_TWO_LEVELS - 1, deselected=all_items - OF_TWO_LEVELS)
    third.stdout.fnmatch_lines(["stale, will run again: nano-p40-sums: few-shot 3 -> 0"])
    assert [path.stat().st_mtime_ns for path in written] != first_ns


def summary(result):
    """The lines with tables and paths."""
    lines = result.outlines
    begin = next(number for number, line in enumerate(lines) if "GLU width pruning" in line)
    end = next(number for number, line in enumerate(lines) if line.startswith("tables: "))
    return lines[begin : end + 1]


def test_nothing_selected_runs_the_embedded_model_and_says_so(suite):
    result = suite.runpytest_subprocess("--collect-only", "-q", "-p", "no_torch")
    cases = [line for line in result.outlines if "::" in line]
    assert len(cases) == len(NANO_CASES)
    assert all("[nano-" in line for line in cases)
    result = suite.runpytest_subprocess(*QUICK, "--setup-plan", "-p", "no_torch")
    result.stdout.fnmatch_lines(["nothing was selected, so the embedded model runs; select with *"])


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["-k", "llama1b and p40"], sum(case.group == "llama1b-p40" for case in WITHOUT_ENERGY)),
        (["-m", "paper"], marked("paper")),
        (["-m", "carbon"], marked("carbon")),
        (["-m", "chat"], marked("chat")),
        (["-m", "alignment"], marked("alignment")),
        (["-m", "serving"], marked("serving")),
        (["-m", "layers"], marked("layers")),
        (["-m", "scoring"], len(SHAPES) * len(Scorer)),
        (["-m", "star and not carbon and not alignment and not serving"], marked("star", WITHOUT_ENERGY)),
        (["benchmarks/test_architecture.py"], sum(case.subject == "architecture" for case in CASES)),
        (["benchmarks/test_accuracy.py::test_accuracy[llama1b-p40-boolq]"], 1),
        (
            ["--method", "random", "--method", "MAW", "--divisor", "64", "-k", "nano and sums"],
            1 + (3 + 1) * len(STUDY.models["nano"].levels[1:]),  # p0 once, whatever the method; random by three seeds
        ),
        (
            ["--layers", "1-", "--layers=-0,-3", "-k", "nano and sums", "--method=random:7"],
            1 + 2 * len(STUDY.models["nano"].levels[1:]),
        ),
        (["--level", "2.4x", "-k", "(llama1b or llama3b) and piqa"], 2 * 2),  # with p0
        (["--level", "2.4x", "--level", "900M", "-k", "llama1b and n900m and piqa"], 1),
    ],
)
def test_exactly_what_is_selected_is_collected_without_torch(suite, arguments, count):
    result = suite.runpytest_subprocess("--collect-only", "-q", "-p", "no_torch", *arguments)
    assert len([line for line in result.outlines if "::" in line]) == count


def test_the_header_names_the_layer_sets_if_there_are_several(suite):
    chosen = ("--collect-only", "-p", "no_torch", "-k", "nano and sums and p40")
    several = suite.runpytest_subprocess(*chosen, "--layers", "all", "--layers", "1-")
    several.stdout.fnmatch_lines(["glu width pruning: 2 cases of nano in 2 *", "pruned layers: all, 1-"])
    suite.runpytest_subprocess(*chosen, "--layers", "1-").stdout.no_fnmatch_line("pruned layers: *")


def test_a_log_file_gets_lines_and_no_bars(suite, monkeypatch):
    """A bar that is drawn ten times a second would make one endless line of it."""
    for name in ("TQDM_DELAY", "TQDM_MININTERVAL"):
        monkeypatch.setenv(name, "0")  # bars for the shortest work, at each step
    command = [sys.executable, "-m", "pytest", "-k", "nano and p0 and (facts or sums)", "--scorer", "hf", *QUICK]
    command += ["--results-dir=my results"]
    with (suite.path / "log").open("wb") as log:
        assert subprocess.run(command, cwd=suite.path, stdout=log, stderr=log, check=False).returncode == 0
    log = (suite.path / "log").read_bytes()
    assert b"2 passed" in log
    assert b"\r" not in log
    assert b"requests" not in log  # nothing took half a minute
    said = re.search(rb"figures as files: (glu report .*)\)", log)
    assert shlex.split(said[1].decode())[-1] == str(suite.path / "my results")  # as a shell takes it


def test_a_killed_run_is_resumed_by_lf_with_exactly_what_was_left(suite, all_items):
    command = [sys.executable, "-m", "pytest", "-k", "nano", *QUICK]
    running = suite.popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    deadline_s = time.monotonic() + 120
    while len(records(suite)) < 12:
        assert time.monotonic() < deadline_s, "no records appeared"
        assert running.poll() is None, "the run ended before it could be killed"
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    finished = set(records(suite))
    pending = json.loads((suite.path / ".pytest_cache/v/cache/lastfailed").read_text())
    assert 12 <= len(finished) < len(NANO_CASES)
    # The kill may fall between a record and its line in the cache: that one is skipped as done.
    left = len(NANO_CASES) - len(finished)
    assert left <= len(pending) <= left + 1

    resumed = suite.runpytest_subprocess("--lf", *QUICK)
    outcomes = resumed.parseoutcomes()
    assert outcomes["passed"] == left
    assert outcomes.get("skipped", 0) == len(pending) - outcomes["passed"]
    assert len(records(suite)) == len(NANO_CASES)
    assert json.loads((suite.path / ".pytest_cache/v/glu/done").read_text())
    assert not (suite.path / ".pytest_cache/v/cache/lastfailed").read_text().count("nano")
    again = suite.runpytest_subprocess("--lf", *QUICK, "-p", "no_torch")
    again.assert_outcomes(deselected=all_items)
    again.stdout.fnmatch_lines(["--lf: *.pytest_cache lists no unfinished case; if the earlier run used another *"])
    assert again.ret == pytest.ExitCode.OK


def test_lf_without_a_cache_runs_nothing_and_says_what_to_do(suite):
    result = suite.runpytest_subprocess("--lf", *QUICK, "-p", "no_torch")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines(
        ["--lf: * lists no unfinished case; if the earlier run used another cache * is lost, *"]
    )


def test_a_finished_case_that_the_list_still_names_leaves_it(suite, all_items):
    """A kill may fall between a record and its line in the cache."""
    only = ("-k", "nano and p0 and architecture", "-p", "no:cacheprovider")
    suite.runpytest_subprocess(*only).assert_outcomes(passed=1, deselected=all_items - 1)
    remember(suite, "benchmarks/test_architecture.py::test_architecture[nano-p0-architecture]")
    suite.runpytest_subprocess("--lf", "-p", "no_torch").assert_outcomes(skipped=1)
    assert json.loads((suite.path / ".pytest_cache/v/cache/lastfailed").read_text()) == {}


def test_runs_with_one_cache_keep_each_others_list(suite, all_items, monkeypatch):
    """What a killed run left must not go when another one with the same cache ends."""
    other = "benchmarks/test_accuracy.py::test_accuracy[nano-p60-facts]"
    kept = "benchmarks/test_accuracy.py::test_accuracy[nano-p60-sums]"
    monkeypatch.setenv("FINISHED", other)
    monkeypatch.setenv("BEGUN", kept)
    remember(suite, other)
    result = suite.runpytest_subprocess("-k", "nano and p0 and architecture", "-p", "other_run")
    result.assert_outcomes(passed=1, deselected=all_items - 1)
    assert json.loads((suite.path / ".pytest_cache/v/cache/lastfailed").read_text()) == {kept: True}


def remember(suite, *names):
    path = suite.path / ".pytest_cache/v/cache/lastfailed"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(dict.fromkeys(names, True)))


def test_lf_goes_on_with_energy_cases_without_their_mark(suite):
    name = "benchmarks/test_carbon.py::test_carbon[nano-p40-facts_latency_b1]"
    remember(suite, name)
    result = suite.runpytest_subprocess("--lf", "--collect-only", "-q", "-p", "no_torch")
    assert [line for line in result.outlines if "::" in line] == [name]


def test_lf_runs_nothing_where_it_knows_none_of_the_cases(suite):
    """They are of another study or method: to run all cases instead would cost days."""
    remember(suite, "benchmarks/test_accuracy.py::test_accuracy[mine-p40-piqa]")
    result = suite.runpytest_subprocess("--lf", *QUICK, "-p", "no_torch")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines(["--lf: this run has none of the unfinished cases; repeat the options of *"])


def test_a_model_that_cannot_be_reached_is_one_clear_error(suite, all_items):
    result = suite.runpytest_subprocess("-k", "llama1b and p40 and (boolq or piqa or winogrande)", "-p", "no_torch")
    result.assert_outcomes(errors=1, skipped=2, deselected=all_items - 3)
    text = result.stdout.str()
    assert text.count("model llama1b (meta-llama/Llama-3.2-1B) cannot be reached: no connection to") == 1
    assert "Traceback" not in text
    result.stdout.fnmatch_lines(["blocked: 3 cases wait for llama1b; see the error above, then: pytest --lf"])
    pending = json.loads((suite.path / ".pytest_cache/v/cache/lastfailed").read_text())
    assert len(pending) == 3
    again = suite.runpytest_subprocess("--lf", "-p", "no_torch")
    again.assert_outcomes(errors=1, skipped=2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--limit", "0"], "ERROR: --limit 0: must be 1 or more; leave it out to score every sample"),
        (
            ["--method", "magic"],
            "ERROR: method 'magic' is unknown; choose one of PPM, PPM_down, VOW, PON, L2, hybrid, random (MAW means *",
        ),
        (["--method", "file:no.safetensors"], "ERROR: method file:no.safetensors: cannot be read (No such file *"),
        (["--method=random:1", "--method=random:10"], "ERROR: methods random1 and random10: -k random1 would select *"),
        (["--level", "2.4"], "ERROR: level '2.4': write a level as 40 (per cent, a whole number from 0 to 95), *"),
        (
            ["--level", "900M", "-k", "llama3b and n900m"],
            "ERROR: model llama3b, level n900m: at most 95 % of the neurons can go, which leaves 1.205B; ask *",
        ),
        (["--layers", "x"], "ERROR: layers 'x': write layers as *"),
        (
            ["--layers", "9-"],
            "ERROR: model nano, level p*-layers9uponly: layers '9-': the model has 4 layers, 0 to 3; *",
        ),
        (
            ["--layers", "0", "--percent-of", "model"],
            "ERROR: model nano, level p*ofmodel-layers0only: p*: * % of the model from 1 of its 4 layers is *",
        ),
        (["--divisor", "7"], "ERROR: --divisor 7: widths are rounded to 32, 64, 128, 256; choose one"),
        (["--dtype", "int4"], "ERROR: --dtype 'int4' is unknown; choose one of float32, bfloat16, float16"),
        (["--device", "tpu"], "ERROR: --device 'tpu' is unknown; choose cpu, cuda, cuda:N or mps"),
        (["--results-dir", "pytest.ini"], "ERROR: --results-dir '*pytest.ini' is a file; records need a folder: *"),
        (["--min-window", "0"], "ERROR: --min-window 0.0: must be more than 0 seconds"),
        (["--idle-seconds", "-1"], "ERROR: --idle-seconds -1.0: must be 0 or more; 0 leaves idle power out"),
        (["--carbon-intensity", "-5"], "ERROR: --carbon-intensity -5.0: must be 0 or more (g/kWh)"),
        (["--weights", "random", "-k", "nano"], "ERROR: random weights have no accuracy; with --weights random *"),
        (["--threads", "0"], "ERROR: --threads 0: must be 1 or more; leave it out to have it measured"),
        (
            ["--threads", "9999"],
            "ERROR: --threads 9999: this process may use * CPU*; choose at most *, or leave it out to have it measured",
        ),
        (["-m", "papr"], "ERROR: -m papr: there is no such marker (did you mean paper?); markers: embedded, carbon, *"),
        (["-m", "paper and not slo", "-n", "1"], "ERROR: -m slo: there is no such marker (did you mean slow?); *"),
        (
            ["-k", "llama1b & p40"],
            """ERROR: -k 'llama1b & p40': unexpected character "&" at column 9; join words with and, or, not, *""",
        ),
        (
            ["-m", "(paper"],
            "ERROR: -m '(paper': expected right parenthesis; got end of input at column 7; join words *",
        ),
        (
            ["benchmarks/test_accuracy.py::test_accuracy[nano-p40-sumz]"],
            "ERROR: *test_accuracy[nano-p40-sumz]: there is no case nano-p40-sumz; nearest: "
            "nano-p40-sums, *; all cases: glu list",
        ),
        (
            ["benchmarks/test_accuracy.py::test_accuracy[mine-p40-sums]", "-n", "1"],
            "ERROR: *: there is no case mine-p40-sums (a model of a study file needs --study=FILE); nearest: *",
        ),
        (
            ["benchmarks/test_accuracy.py::test_accuracy[nano-p40-facts_latency_b1]"],
            "ERROR: *: test_accuracy does not measure nano-p40-facts_latency_b1; select the case with -m carbon "
            "-k nano-p40-facts_latency_b1",
        ),
        (
            ["benchmarks/test_accuracy.py::test_acuracy[nano-p40-sums]"],
            "ERROR: *: there is no test test_acuracy (did you mean test_accuracy?); select the case with -k nano-*",
        ),
        (
            ["benchmarks/test_acuracy.py"],
            "ERROR: benchmarks/test_acuracy.py: there is no such file (did you mean benchmarks/test_accuracy.py?)",
        ),
        (["nano-p40-sums"], "ERROR: nano-p40-sums: there is no such file; select the case with -k nano-p40-sums"),
    ],
)
def test_a_wrong_value_is_one_line_with_the_remedy(suite, arguments, message):
    result = suite.runpytest_subprocess(*arguments, "-p", "no_torch")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message.replace("[", "[[]")])
    assert len([line for line in result.errlines if line.strip()]) == 1


def test_an_unknown_level_is_answered_with_the_levels(suite):
    result = suite.runpytest_subprocess("-k", "llama1b and p45", "-p", "no_torch")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines(["no case matches -k 'llama1b and p45'; models: nano, llama1b, *; levels: p0, p10, *"])


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (
            ["-k", "nanno"],
            ["-k nanno: no name contains this word (did you mean nano?)", "no case matches -k 'nanno'; *"],
        ),
        (
            ["-k", "nano and nomlp"],
            [
                "-k nomlp: no name contains this word (a control: add --controls)",
                "no case matches -k 'nano and nomlp'; *",
            ],
        ),
        (
            ["-k", "nano and p45", "--controls"],
            ["-k p45: no name contains this word *", "no case matches -k 'nano and p45'; *, p60, nomlp, untrained; *"],
        ),
        (["-m", "instruct", "-k", "nano"], ["no case matches -k 'nano' with -m 'instruct'; models: nano, llama1b, *"]),
        (["-k", "nanno", "-n", "1"], ["no case matches -k 'nanno'; models: nano, llama1b, *"]),
        (
            ["-k", "nano and facts_latency_b1"],
            ["cases that match -k 'nano and facts_latency_b1' run only *: add -m carbon"],
        ),
    ],
)
def test_a_selection_of_nothing_says_what_there_is(suite, arguments, lines):
    result = suite.runpytest_subprocess(*arguments, "-p", "no_torch")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines(lines)


def test_a_mistyped_word_behind_not_is_named(suite):
    """It changes nothing: more is selected than was meant."""
    result = suite.runpytest_subprocess("-k", "nano and not sumz and not accuracy", "--collect-only", "-p", "no_torch")
    result.stdout.fnmatch_lines(["-k sumz: no name contains this word (did you mean sums?)"])
    assert "-k accuracy: " not in result.stdout.str()  # the file's name


def test_an_option_of_the_suite_in_another_folder_is_answered_with_the_folder(suite):
    result = suite.run(sys.executable, "-m", "pytest", "--limt", "5")
    result.stderr.fnmatch_lines(
        ["*unrecognized arguments: --limt", "  hint: --limt is not an option (did you mean --limit?)"]
    )
    elsewhere = suite.mkdir("elsewhere of mine")
    for name in ("pytest.ini", "conftest.py"):
        (suite.path / name).unlink()
    command = [sys.executable, "-m", "pytest", "--limit=5", "--unknown"]
    result = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, check=False)
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    assert "error: unrecognized arguments: --limit=5 --unknown\n" in result.stderr
    hint = "--limit is an option of the GLU width pruning suite, which works only in the suite's folder: cd "
    assert f"\n  hint: {hint}{shlex.quote(str(ROOT))}, then repeat the command\n" in result.stderr


def test_a_collection_that_is_stopped_leaves_what_lf_goes_on_with(suite):
    """pytest then says that it has collected everything: --lf would run all cases of all models."""
    remember(suite, name := "benchmarks/test_accuracy.py::test_accuracy[nano-p60-facts]")
    result = suite.runpytest_subprocess("-k", "nano", "-p", "stopped_collection")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert json.loads((suite.path / ".pytest_cache/v/cache/lastfailed").read_text()) == {name: True}
    assert not (suite.path / "results").exists()
    assert "glu width pruning: " not in result.stdout.str()


def test_the_options_are_explained_in_the_users_words(suite):
    result = suite.runpytest_subprocess("--help", "-p", "no_torch")
    result.stdout.fnmatch_lines(
        ["GLU width pruning benchmarks:", "*--results-dir*", "*--limit*", "*--rerun*", "*--method*"]
    )


def test_the_results_folder_can_be_given_by_environment_and_ini(suite, monkeypatch, all_items):
    only = ("-k", "nano and p40 and architecture")
    suite.runpytest_subprocess(*only, "-o", "glu_results_dir=by_ini").assert_outcomes(
        passed=1, deselected=all_items - 1
    )
    monkeypatch.setenv("GLU_RESULTS_DIR", str(suite.path / "by_environment"))
    suite.runpytest_subprocess(*only).assert_outcomes(passed=1, deselected=all_items - 1)
    for folder in ("by_ini", "by_environment"):
        assert (suite.path / folder / "individual_files/nano/p40/nano-p40-architecture.json").exists()


def test_a_folder_given_as_a_word_of_its_own_is_answered_with_the_form_that_works(tmp_path):
    """pytest would take it for its root and never see the project's conftest.py."""
    command = [sys.executable, "-m", "pytest", "--results-dir", str(tmp_path), "--collect-only"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"write --results-dir={tmp_path}" in result.stderr


CARBON = (
    "-m",
    "carbon",
    "--allow-shared",
    "--limit",
    "4",
    "--threads",
    "1",
    "--min-window",
    "0.2",
    "--idle-seconds",
    "0.2",
)


def test_workloads_leave_records_tables_and_timings(suite, all_items):
    result = suite.runpytest_subprocess(
        *CARBON, "-k", "nano and (p0 or p40) and facts_latency_b1", "--benchmark-json=timings.json"
    )
    result.assert_outcomes(passed=2, deselected=all_items - 2)
    result.stdout.fnmatch_lines(
        [
            "nano, joules per token, gross (estimated), only 4 prompts: mean over the repeats ± half of its 95 % *",
            "nano, time to first token, only 4 prompts: mean over the repeats ± half of its 95 % interval, *",
        ]
    )
    (path,) = suite.path.glob("results/individual_files/nano/p40/*.json")
    record = json.loads(path.read_text())
    assert [repeat["seed"] for repeat in record["repeats"]] == [42, 123, 456]
    assert record["idle"]["seconds"] >= 0.2
    for repeat in record["repeats"]:
        conditions = repeat["conditions"]
        assert (conditions["gpu_before"], conditions["gpu_after"]) == (None, None)
        assert conditions["exclusive"] is (conditions["other_cpu_cores"] < 0.25)
        assert repeat["new_tokens"] == repeat["passes"] * 4 * 50
        natural = repeat["natural"]
        assert 0 < natural["new_tokens"] == natural["passes"] * sum(natural["row_tokens"])
        assert all(0 < tokens <= 50 for tokens in natural["row_tokens"])
        assert 0 < repeat["time_per_output_token_ms"] <= repeat["time_per_output_token_p99_ms"]
        assert repeat["net_energy_per_token_j"] < repeat["energy_per_token_j"]
    assert record["schedule"]["interleaved"]
    assert [sorted(order) for order in record["schedule"]["orders"]] == [["p0", "p40"]] * 3
    assert (suite.path / "results/codecarbon/emissions.csv").read_text().count("\n") == 1 + 2 * 3 * 2
    timings = json.loads((suite.path / "timings.json").read_text())["benchmarks"]
    assert [found["stats"]["rounds"] for found in timings] == [3, 3]
    assert timings[0]["extra_info"]["energy_per_token_j"] > 0


def test_workloads_are_refused_under_xdist_with_the_remedy_and_stay_pending(suite):
    result = suite.runpytest_subprocess(
        *CARBON, "-k", "nano and p40 and facts", "-n", "2", "--dist", "loadgroup", "-p", "no:cov"
    )
    outcomes = result.parseoutcomes()
    assert outcomes["errors"] >= 1
    assert outcomes.get("passed", 0) == 0
    assert "energy workloads cannot be measured under pytest-xdist" in result.stdout.str()
    assert not list(suite.path.glob("results/individual_files/**/*.json"))
    pending = json.loads((suite.path / ".pytest_cache/v/cache/lastfailed").read_text())
    assert len(pending) == 2


ALIGNMENT = """
[models.mine]
source = "shape-only"
kind = "base"
levels = [0, 40]
suites = ["alignment"]

[models.mine.architecture]
hidden_size = 64
intermediate_size = 512
num_layers = 2
num_heads = 2
num_kv_heads = 1
head_dim = 32
vocab_size = 1000
tied_embeddings = true
max_positions = 1024
rope_theta = 10000.0
"""


def test_one_command_compares_aligned_with_plain_widths(suite):
    (suite.path / "study.toml").write_text(ALIGNMENT)
    options = ("--limit", "2", "--allow-shared", "--threads", "1", "--min-window", "0.05", "--idle-seconds", "0")
    result = suite.runpytest_subprocess(
        "-m", "alignment", "-k", "mine and b1", "--weights", "random", "--study=study.toml", *options
    )
    assert result.parseoutcomes()["passed"] == 3 * 2
    result.stdout.fnmatch_lines(
        ["mine, prefill_b1, divisor 128, prefill: time to first token, ms", "*level*width*aligned*", "*p40*308*256*"]
    )
    result.stdout.fnmatch_lines(["mine, decode_b1, divisor 128, decoding: time per output token, ms"])


def test_two_runs_on_one_folder_share_the_cases_out(suite):
    """Started together on the same selection: each case is measured by one of them, none by both."""
    command = [sys.executable, "-m", "pytest", *QUICK, "-k", "nano and (p0 or p40)", "-rs"]
    runs = [suite.popen([*command, "-o", f"cache_dir=cache{number}"]) for number in range(2)]
    outputs = [run.communicate(timeout=300)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
    measured = [int(found[1]) if (found := re.search(r"(\d+) passed", output)) else 0 for output in outputs]
    assert sum(measured) == OF_TWO_LEVELS
    assert len(list(suite.path.glob("results/individual_files/**/*.json"))) == OF_TWO_LEVELS
    assert not list(suite.path.glob("results/leases/*"))


def test_chat_tasks_wait_for_a_template_and_plain_ones_of_the_same_model_run(suite):
    shutil.copytree(MODEL_DIR, suite.path / "talker")
    (suite.path / "study.toml").write_text(TALKER)
    result = suite.runpytest_subprocess("--study=study.toml", "-m", "own", *QUICK, "-rs")
    counts = result.parseoutcomes()
    assert (counts["passed"], counts["errors"], counts["skipped"]) == (2, 1, 1)  # its architecture too
    line = "*model talker (talker) has no chat template, which *_chat needs; leave chat tasks out (-k *"
    result.stdout.fnmatch_lines_random(
        [line, "blocked: 2 cases wait for the chat template of talker; see the error above, then: pytest --lf"]
    )
    (suite.path / "talker/chat_template.jinja").write_text("task : {{ messages[0]['content'] }} ")
    again = suite.runpytest_subprocess("--study=study.toml", "-m", "own", *QUICK)
    counts = again.parseoutcomes()
    assert (counts["passed"], counts.get("skipped", 0)) == (3, 1)  # the template is a part of the model
    assert [name for name in records(suite) if "chat" in name] == [
        "talker-p0-first_chat-limit4",
        "talker-p0-second_chat-limit4",
    ]


def test_only_the_calibrated_method_waits_for_its_text(suite, monkeypatch):
    """Two levels of it wait for one text, which is asked for once; the other method's are measured."""
    shutil.copytree(MODEL_DIR, suite.path / "saved")
    (suite.path / "study.toml").write_text(
        '[models.mine]\nsource = "saved"\nkind = "base"\nlevels = [40, 60]\nsuites = ["own"]\n'
        '[suites]\nown = ["facts"]\n'
    )
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    options = (
        "--study=study.toml",
        "--limit=4",
        "--threads=1",
        "--method=hybrid",
        "--method=random",
        "-k=mine and facts",
    )
    result = suite.runpytest_subprocess(*options)
    # Three seeds at two levels.
    result.assert_outcomes(passed=6, errors=1, skipped=1, deselected=result.parseoutcomes()["deselected"])
    result.stdout.fnmatch_lines(
        [
            "level 0 is not in the study of mine: no changes will be shown",
            "calibration of model mine for method hybrid: task wikitext: its data cannot be loaded *",
            "blocked: 2 cases wait for the calibration text of mine; see the error above, then: pytest --lf",
            "6 changes were not tested: p0 of the same measurement is missing; run it",
        ]
    )
    left = json.loads((suite.path / ".pytest_cache/v/cache/lastfailed").read_text())
    assert sorted(name.partition("[")[2] for name in left) == ["mine-p40-hybrid-facts]", "mine-p60-hybrid-facts]"]


def test_lm_evals_own_files_are_left_out_on_request(suite, all_items):
    done = suite.runpytest_subprocess("-k", "nano and p40 and facts", "--no-lm-eval-files", *QUICK)
    done.assert_outcomes(passed=1, deselected=all_items - 1)
    assert records(suite) == ["nano-p40-facts-limit4"]
    assert not (suite.path / "results/lm_eval").exists()
