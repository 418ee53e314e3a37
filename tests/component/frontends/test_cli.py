import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from serving_records import serving_values

from glu_lib.frontends.cli.entry import main
from glu_lib.results.address import RecordId
from glu_lib.results.record import sealed
from glu_lib.run.experiment import Experiment
from glu_lib.run.session import Session
from glu_lib.study import STUDY
from glu_lib.study.cases import Case, build_cases
from glu_lib.study.pruning import Pruning

NANO = Path(__file__).resolve().parents[3] / "results/measured/nano"


@pytest.fixture
def results(settings):
    """A results folder with two architecture records, one of them made stale."""
    experiment = Experiment(settings)
    for percent in (0, 40):
        case = Case(STUDY.models["llama1b"], Pruning(percent), "architecture", ("paper", "core"))
        record = Session(experiment).measure(case).as_json()
        if percent:
            record["done_key"]["optipfair"] = "0.0.1"
            experiment.store.write(RecordId(case), record)
    return settings.results_dir


def test_list_prints_the_matrix(results, capsys):
    assert main(["list", "--results-dir", str(results)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    on_request = ["-m", "carbon", "-m", "alignment", "-m", "serving", "-m", "layers"]
    assert lines[0] == ["model", "level", "width", "pruned", "cases", "done", "stale", "pending", *on_request]
    # pytest -k "llama1b and p0" runs 27 cases; energy is measured on request only.
    assert ["llama1b", "p0", "8192", "0.0%", "27", "1", "0", "26", "0/6", "0/4", "0/1", "0/4"] in lines
    assert ["llama1b", "p40", "4916", "40.0%", "27", "0", "1", "26", "0/6", "0/4", "0/1"] in lines
    said = (
        "-m carbon, -m alignment, -m serving, -m layers: done/all cases that run only with this option; no other "
        "column counts them"
    )
    end = lines.index(said.split())
    assert end == 1 + len({case.group for case in build_cases(STUDY)})  # a line for each level of each model
    assert lines[end + 1] == ["model", "weights", "download", "shape", "baseline"]
    assert lines[end + 2][:2] == ["nano", "embedded"]


def test_list_names_what_is_stale_and_why(results, capsys):
    assert main(["list", "--results-dir", str(results), "--stale"]) == 0
    assert capsys.readouterr().out.startswith("llama1b-p40-architecture: optipfair 0.0.1 -> ")
    path = results / "individual_files/llama1b/p40/llama1b-p40-architecture.json"
    path.write_text("{}")
    assert main(["list", "--results-dir", str(results), "--stale"]) == 0
    said = "not a record of this suite (no done_key); delete it or move it elsewhere"
    assert capsys.readouterr().out == f"llama1b-p40-architecture: {said} ({path})\n"
    path.unlink()
    assert main(["list", "--results-dir", str(results), "--stale"]) == 0
    assert capsys.readouterr().out == "no stale case\n"


def test_consolidate_writes_the_tables_and_its_exit_code_tells_of_broken_records(results, capsys):
    assert main(["consolidate", str(results)]) == 0
    assert (results / "results.json").exists()
    (results / "individual_files/llama1b/p0/x.json").write_text("{")
    assert main(["consolidate", str(results)]) == 1
    assert "left out: " in capsys.readouterr().err


def test_wrong_use_is_one_line_and_exit_code_2(tmp_path, capsys):
    assert main(["table", str(tmp_path / "nothing")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["list", "--limit", "0"]) == 2


def test_the_results_folder_may_come_from_the_environment(results, capsys, monkeypatch):
    monkeypatch.setenv("GLU_RESULTS_DIR", str(results))
    assert main(["list"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["llama1b", "p0", "8192", "0.0%", "27", "1", "0", "26", "0/6", "0/4", "0/1", "0/4"] in lines
    assert ["llama1b", "p0", "8192", "0.0%", "27", "1", "0", "26", "0/6", "0/4", "0/1", "0/4"] in lines


@pytest.mark.parametrize("command", ["list", "consolidate", "report", "compare", "table", "export"])
def test_every_command_takes_the_folder_by_its_place_by_the_option_and_from_the_environment(
    results, tmp_path, capsys, monkeypatch, command
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GLU_RESULTS_DIR", str(tmp_path / "nothing"))
    found = []
    for words in ([str(results)], ["--results-dir", str(results)], [f"--results-dir={results}"]):
        assert main([command, *words]) == 0
        found.append(capsys.readouterr().out)
    monkeypatch.setenv("GLU_RESULTS_DIR", str(results))
    assert main([command]) == 0
    assert set(found) == {capsys.readouterr().out}


def test_two_results_folders_a_blank_one_and_none_to_write_to_are_refused(capsys):
    for words, line in (
        (["table", "x", "--results-dir", "y"], "x and --results-dir y: two results folders; give one\n"),
        (["list", "--results-dir="], "--results-dir is blank; name a folder, for example --results-dir=/drive/glu\n"),
        (
            ["report", "--published"],
            "--published needs DIR, so that it does not overwrite the tables of a run; give a folder\n",
        ),
    ):
        assert main(words) == 2
        assert capsys.readouterr().err == line


def test_list_says_that_a_folder_is_not_there(tmp_path, capsys):
    assert main(["list", str(tmp_path / "nano")]) == 0
    assert capsys.readouterr().err == f"folder {tmp_path / 'nano'} does not exist: no case is done\n"


def test_list_shows_the_cases_of_other_methods_and_divisors(results, capsys):
    assert main(["list", "--results-dir", str(results), "--method", "random", "--divisor", "64"]) == 0
    levels = {line.split()[1] for line in capsys.readouterr().out.splitlines() if line.split()}
    assert {"p40d64-random1", "p40d64-random2", "p40d64-random3"} <= levels
    assert main(["list", "--results-dir", str(results), "--divisor", "7"]) == 2


def test_list_shows_the_cases_of_layer_sets(results, capsys):
    command = ["list", "--results-dir", str(results), "--layers", "1-", "--layers=-1", "--percent-of", "model"]
    assert main(command) == 0
    levels = {line.split()[1] for line in capsys.readouterr().out.splitlines() if line.split()}
    assert {"p40ofmodel-layers1uponly", "p40ofmodel-layers1spared"} <= levels
    assert main(["list", "--results-dir", str(results), "--layers", "32-"]) == 2
    line = capsys.readouterr().err
    start = "model nano, level p10-layers32uponly: layers '32-': the model has 4 layers, 0 to 3; write layers as "
    assert line.startswith(start)
    assert line.count("\n") == 1


def test_list_shows_what_a_wanted_level_is_in_width_and_per_cent(results, capsys):
    command = ["list", "--results-dir", str(results), "--dtype", "bfloat16", "--level", "2.4x", "--level", "2.3GB"]
    assert main([*command, "--level", "30"]) == 0
    shown = capsys.readouterr()
    rows = [line.split()[:4] for line in shown.out.splitlines()]
    found = {tuple(row[:2]): row[2:] for row in rows if row[3:] and row[3].endswith("%")}
    assert [level for model, level in found if model == "llama1b" and "d" not in level] == [
        "p0",
        "b2.3gb",
        "p30",
        "r2.4x",
    ]
    assert found["llama1b", "r2.4x"] == ["4915", "40.0%"]
    assert found["llama3b", "r2.4x"] == ["7372", "10.0%"]
    assert found["llama1b", "b2.3gb"] == ["7319", "10.7%"]
    assert (
        "left out: model llama3b, level b2.3gb: at most 95 % of the neurons can go, which leaves 2.409GB" in shown.err
    )
    assert main(["list", "--results-dir", str(results), "--level", "9x"]) == 2
    assert capsys.readouterr().err == "model nano, level r9x: it has 4x unpruned, which is p0; ask for less\n"


def test_list_reads_a_file_of_samples(results, tmp_path, capsys):
    path = tmp_path / "few.json"
    path.write_text('{"facts": [1]}')
    assert main(["list", "--results-dir", str(results), "--samples", str(path)]) == 0
    path.write_text('{"fact": [1]}')
    assert main(["list", "--results-dir", str(results), "--samples", str(path)]) == 2
    assert "'fact' is no task of the study; name tasks or subtasks as lm-eval does" in capsys.readouterr().err
    assert main(["list", "--results-dir", str(results), "--limit-from", "spread"]) == 2
    assert "--limit-from spread: says where --limit takes its items from; add --limit N" in capsys.readouterr().err


def test_list_counts_layer_scans_with_the_unpruned_model_which_they_load(tmp_path, capsys):
    study = tmp_path / "study.toml"
    study.write_text('[models.mine]\nsource = "a/b"\nkind = "base"\nlevels = [20]\nsuites = ["layers"]\n')
    assert main(["list", "--results-dir", str(tmp_path), "--study", str(study)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line for line in lines if line[:1] == ["mine"]][:1] == [["mine", "p0", "0", "0", "0", "0", "0/4"]]


def test_a_percentage_without_a_model_is_refused_before_anything_is_sent(capsys):
    assert main(["push", "--repo-id", "me/x", "--percent", "20"]) == 2
    assert capsys.readouterr().err == "--percent 20 applies to a pruned model; name it with --model KEY\n"


def test_what_a_command_does_not_know_is_refused():
    with pytest.raises(SystemExit):
        main(["list", "--modle", "nano"])


def state_of(folder):
    """Every file and folder with its content and its time of change."""
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in (folder, *folder.rglob("*"))
    }


@pytest.mark.parametrize(
    "command",
    [["table"], ["compare"], ["list", "--results-dir"], ["list", "--stale", "--results-dir"], ["export"]],
    ids=" ".join,
)
def test_a_command_that_reads_changes_nothing_in_the_results_folder(tmp_path, capsys, command):
    folder = tmp_path / "nano"
    shutil.copytree(NANO, folder)
    before = state_of(folder)
    assert main([*command, str(folder)]) == 0
    exported = {"optimum_benchmark", "boamps", "every_eval_ever"}
    after = {path: state for path, state in state_of(folder).items() if not exported & set(path.parts)}
    # `export` makes a folder of its own there.
    own = {folder} if command == ["export"] else set()
    assert {path for path, state in after.items() if before.get(path) != state} <= own


def test_what_a_writing_command_remembers_a_reading_one_uses(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "nano"
    shutil.copytree(NANO, folder)
    assert main(["consolidate", str(folder)]) == 0
    monkeypatch.setattr("glu_lib.analysis.degradation._degradation_of", None)  # nothing is computed again
    assert main(["table", str(folder)]) == 0


def test_ctrl_c_ends_a_command_in_one_line(monkeypatch, capsys):
    def interrupt(*_args):
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("glu_lib.frontends.cli.record_commands.conclude_published", interrupt)
    assert main(["table", "--published", "x"]) == 128 + signal.SIGINT
    assert capsys.readouterr().err == "stopped\n"


def test_report_writes_the_page_and_its_figures(tmp_path, capsys):
    assert main(["report", "--published", str(tmp_path)]) == 0
    page = (tmp_path / "report/index.html").read_text()
    assert "llama3b: slope of each task" in page
    names = {path.name for path in (tmp_path / "report/figures").iterdir()}
    assert {"slopes-llama3b-ppm.svg", "slopes-llama3b-ppm.png"} <= names
    stale = tmp_path / "report/figures/older.svg"
    stale.write_text("")
    assert main(["report", "--published", str(tmp_path)]) == 0
    assert not stale.exists()
    assert capsys.readouterr().out.startswith(str(tmp_path / "report/index.html"))


def test_what_was_left_out_shows_in_the_exit_code(tmp_path, capsys):
    path = tmp_path / "individual_files/nano/p0/torn.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    for command in ("consolidate", "report", "table", "compare"):
        assert main([command, str(tmp_path)]) == 1
        assert "left out: " in capsys.readouterr().err
    assert path.read_text() == "{"


def test_a_folder_without_records_is_one_line_with_the_place_of_random_weights(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert capsys.readouterr().err.endswith("holds no records; name the results folder of a run\n")
    (tmp_path / "random_weights").mkdir()
    assert main(["consolidate", str(tmp_path)]) == 2
    assert (
        f"records of --weights random are in {tmp_path / 'random_weights'}: name that folder" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--items", "541", "--discordant", "0.3"], [["0.3", "0.0658"]]),
        (["--change", "0.03", "--discordant", "0.3"], [["0.3", "2,614"]]),
        (["--items", "541"], [["0.1", "0.038"], ["0.2", "0.0537"], ["0.3", "0.0658"], ["0.5", "0.085"]]),
        (["--items", "5", "--discordant", "0.5"], [["0.5", "none"]]),
    ],
)
def test_power_tells_the_smallest_change_and_the_items_needed(capsys, monkeypatch, words, told):
    monkeypatch.setenv("GLU_RESULTS_DIR", "  ")  # no results folder is looked for
    assert main(["power", *words]) == 0
    out = capsys.readouterr().out
    assert "with 80 %" in out
    assert [line.split() for line in out.splitlines()[-len(told) :]] == told


def test_power_says_which_changes_cannot_be(capsys):
    assert main(["power", "--change", "0.25"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "0.2 not possible: fewer items change" in lines
    assert "0.3 36" in lines


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "power needs one of --items N and --change X; give the one that is known"),
        (
            ["--items", "5", "--change", "0.1"],
            "power needs one of --items N and --change X; give the one that is known",
        ),
        (["--items", "0"], "--items 0 must be from 1 to 1,000,000,000; give the number of items of the task"),
        (["--change", "nan"], "--change nan must be from 0.000001 to 1; 0.03 is three points of a hundred"),
        (["--change", "1e-200"], "--change 1e-200 must be from 0.000001 to 1; 0.03 is three points of a hundred"),
        (
            ["--items", "9", "--discordant", "30"],
            "--discordant 30 must be from 0.000001 to 1; give the share of items that change either way",
        ),
        (
            ["--change", "0.4", "--discordant", "0.3"],
            "--change 0.4 exceeds --discordant 0.3: a score cannot change by more than the share of items that change; "
            "raise --discordant",
        ),
    ],
)
def test_power_refuses_what_cannot_be_in_one_line(capsys, words, line):
    assert main(["power", *words]) == 2
    assert capsys.readouterr().err == f"{line}\n"


def test_compare_prints_the_published_scores_beside_blind_answers(results, capsys):
    assert main(["compare", str(results)]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert (
        "llama1b truthfulqa_mc2 acc flat 0.483, uniform 0.448 0.377 0.466 (p60) 0.466 (p60) – all no skill shown"
        in lines
    )
    assert any(line.startswith("llama3b: ifeval rises from 0.094 to 0.133 (p60), towards blind") for line in lines)


def test_export_of_a_folder_that_is_not_there_is_refused(tmp_path, capsys):
    assert main(["export", str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err == f"{tmp_path / 'nowhere'} is not a folder; name the results folder of a run\n"


def test_export_says_that_it_leaves_serving_records_out(tmp_path, capsys):
    path = tmp_path / "individual_files/quarter/p40/quarter-p40-serving_saturation.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(sealed(serving_values(40, {1: (100, 102), 2: (180, 182)}))))
    assert main(["export", str(tmp_path)]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "1 serving record left out: these formats have no place for a growing batch"
