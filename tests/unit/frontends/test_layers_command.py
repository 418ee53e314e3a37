import tomllib

import pytest
from scan_records import random_records, scan_record, write_records

from glu_lib.frontends.cli.entry import main
from glu_lib.study import STUDY, load_study
from glu_lib.study.layers import Layers

SOURCE = STUDY.models["llama1b"].source


@pytest.fixture
def results(tmp_path):
    records = [
        *(scan_record(source=SOURCE), scan_record("VOW", source=SOURCE, spared=())),
        *random_records(source=SOURCE),
        scan_record(model="mine", source="me/mine", layers=30),
    ]
    return write_records(tmp_path / "results", records)


def test_it_prints_the_tables_and_the_recommended_layers(results, capsys):
    assert main(["layers", str(results)]) == 0
    out = capsys.readouterr().out
    for part in (
        "llama1b p10 PPM: perplexity with one layer pruned / unpruned:",
        "x1.10 (1.00 to 1.21)",
        "recommended: --layers 1-15 (spares 0)",
        "recommended: --layers 1-29 (spares 0)",
        "mine p10 PPM",
        "llama1b p10 VOW",
    ):
        assert part in out


@pytest.mark.parametrize("method", ["PPM", "ppm", "MAW"])
def test_model_and_method_choose_a_scan(results, capsys, method):
    assert main(["layers", "--results-dir", str(results), "--model", "llama1b", "--method", method]) == 0
    out = capsys.readouterr().out
    assert "llama1b p10 PPM" in out
    assert "mine" not in out
    assert "VOW" not in out


def test_it_writes_a_study_file_that_prunes_all_and_the_recommended_layers(results, tmp_path, capsys):
    path = tmp_path / "new" / "spared.toml"
    assert main(["layers", str(results), "--model", "llama1b", "--method", "PPM", "--write", str(path)]) == 0
    assert f"study file: {path}\nrun it with: pytest --study={path} -k llama1b\n" in capsys.readouterr().out
    model = load_study(path, STUDY).study.models["llama1b"]
    assert model.layers == (None, Layers("1-15"))
    text = path.read_text()
    assert "individual_files/models/p10/llama1b-p10-layer_scan.json" in text
    assert "# llama1b p10 PPM, scanned 2026-01-01T00:00:00+00:00 on 2,044 tokens of held_out.txt" in text


def test_a_model_of_a_study_file_gets_the_line_to_copy(results, tmp_path, capsys):
    path = tmp_path / "spared.toml"
    assert main(["layers", str(results), "--method", "PPM", "--write", str(path)]) == 0
    out = capsys.readouterr().out
    assert "mine is declared in a study file of yours: copy the line `layers` into its [models.mine] there" in out
    assert tomllib.loads(path.read_text())["models"] == {
        "llama1b": {"layers": ["all", "1-15"]},
        "mine": {"layers": ["all", "1-29"]},
    }
    assert "# This model is declared in a study file" in path.read_text()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--model", "nix"], "--model nix: no such layer scan; choose from llama1b PPM, llama1b VOW, mine PPM\n"),
        (["--write", "{new}"], "--write: there are scans of PPM, VOW; choose one with --method NAME\n"),
        (
            ["--method", "VOW", "--write", "{new}"],
            "--write: no layer is worth sparing, so that no study file is needed; leave out --write\n",
        ),
        (
            ["--method", "PPM", "--write", "{old}"],
            "--write {old}: exists already; name a new file, or copy the recommended layers\n",
        ),
    ],
)
def test_wrong_use_is_one_line_and_writes_nothing(results, tmp_path, capsys, words, line):
    old, new = tmp_path / "old.toml", tmp_path / "new.toml"
    old.write_text("# mine")
    assert main(["layers", str(results), *(word.format(old=old, new=new) for word in words)]) == 2
    assert capsys.readouterr().err == line.format(old=old)
    assert old.read_text() == "# mine"
    assert not new.exists()


def test_a_folder_without_scans_says_how_to_make_one(tmp_path, capsys):
    (tmp_path / "individual_files").mkdir()
    assert main(["layers", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"{tmp_path}: holds no layer scan; run pytest -m layers\n"


def test_a_broken_record_is_named_and_the_others_are_shown(results, capsys):
    (results / "individual_files/models/p10/x.json").write_text("{")
    assert main(["layers", str(results)]) == 1
    found = capsys.readouterr()
    assert "recommended: --layers 1-15" in found.out
    assert found.err.startswith("left out: ")
    assert found.err.count("\n") == 1


def test_a_model_that_no_study_can_have_reaches_no_file(tmp_path, capsys):
    root = write_records(tmp_path / "results", [scan_record(model="a]b")])
    path = tmp_path / "new.toml"
    assert main(["layers", str(root), "--write", str(path)]) == 2
    assert capsys.readouterr().err == "--write: model 'a]b' is no key of a study; choose another one with --model KEY\n"
    assert not path.exists()


def test_the_tables_hold_the_scans(results, capsys):
    assert main(["table", str(results)]) == 0
    assert "| 0 (spared) | x6.20 | x1.10 (1.00 to 1.21) | x6.20 | 71 % | 300 of 300 |" in capsys.readouterr().out
