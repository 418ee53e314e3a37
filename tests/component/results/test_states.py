"""What `list` says of results folders that were moved, merged, edited or come from elsewhere."""

import json
import os
import shutil
from pathlib import Path

import pytest

from glu_lib.frontends.cli.entry import main
from glu_lib.results.record import sealed

MEASURED = Path(__file__).parents[3] / "results/measured/nano"


@pytest.fixture
def folder(tmp_path):
    """The committed records of nano at p0 and p40, with the samples."""
    for level in ("p0", "p40"):
        for part in ("individual_files", "samples"):
            shutil.copytree(MEASURED / part / "nano" / level, tmp_path / "results" / part / "nano" / level)
    return tmp_path / "results"


@pytest.fixture
def states(capsys):
    """How many of nano's cases are done per level, and the reasons of those that are stale."""

    def read(results):
        assert main(["list", "--results-dir", str(results)]) == 0
        rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip().startswith("nano")]
        done = {level: int(count) for _, level, _width, _pruned, _, count, *_ in rows if level in ("p0", "p40", "p60")}
        assert main(["list", "--stale", "--results-dir", str(results)]) == 0
        lines = capsys.readouterr().out.splitlines()
        reasons = {} if lines == ["no stale case"] else dict(line.split(": ", 1) for line in lines)
        return done, reasons

    return read


def rewrite(path, change, seal=True):
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(sealed(record) if seal else record))


def test_a_moved_folder_is_as_done_as_before(folder, states, tmp_path):
    before = states(folder)
    assert before == ({"p0": 8, "p40": 8, "p60": 0}, {})
    shutil.move(folder, tmp_path / "another place")
    assert states(tmp_path / "another place") == before


def test_an_architecture_counts_as_done_beside_limited_records(folder, capsys):
    assert main(["list", "--limit", "20", "--results-dir", str(folder)]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["nano", "p40", "308", "39.8%", "8", "1", "0", "7"] in [row[:8] for row in rows]


def test_folders_merged_from_elsewhere_hold_what_both_held(folder, states, tmp_path):
    other = tmp_path / "other"
    for part in ("individual_files", "samples"):
        shutil.copytree(MEASURED / part / "nano/p60", other / part / "nano/p60")
    shutil.copytree(other, folder, dirs_exist_ok=True)
    assert states(folder) == ({"p0": 8, "p40": 8, "p60": 8}, {})


def test_a_merge_without_samples_says_so(folder, states):
    shutil.rmtree(folder / "samples/nano/p40")
    done, reasons = states(folder)
    assert done == {"p0": 8, "p40": 1, "p60": 0}
    assert reasons["nano-p40-sums"].endswith("samples/nano/p40/nano-p40-sums.jsonl.gz are missing")


def test_a_clock_set_back_changes_nothing(folder, states):
    before = states(folder)
    for path in folder.rglob("*.*"):
        os.utime(path, (0, 0))
    assert states(folder) == before
    for path in folder.rglob("*.*"):
        os.utime(path, (4e9, 4e9))
    assert states(folder) == before


def test_each_thing_that_was_done_to_a_record_has_its_reason(folder, states):
    p40 = folder / "individual_files/nano/p40"
    rewrite(p40 / "nano-p40-sums.json", lambda record: record["score"]["headline"].update(value=1.0), seal=False)
    rewrite(p40 / "nano-p40-facts.json", lambda record: record["done_key"].update({"few-shot": 5}))
    rewrite(p40 / "nano-p40-truth.json", lambda record: record.pop("sha256"), seal=False)
    rewrite(p40 / "nano-p40-lastword.json", lambda record: record["samples"].update(file="../../../etc/passwd"))
    shutil.copy(folder / "individual_files/nano/p0/nano-p0-narrative.json", p40 / "nano-p40-narrative.json")
    shutil.copy(p40 / "nano-p40-facts.json", p40 / "nano-p40-commonsense.json")
    (p40 / "nano-p40-instructions.json").write_bytes(b'{"kind": "accuracy", "done_')
    done, reasons = states(folder)
    assert done == {"p0": 8, "p40": 1, "p60": 0}
    assert "was changed after it was written (its sha256 differs)" in reasons["nano-p40-sums"]
    assert reasons["nano-p40-facts"] == "few-shot 5 -> 0"
    assert reasons["nano-p40-truth"] == "the record lacks sha256"
    assert "not a file in this folder" in reasons["nano-p40-lastword"]
    assert reasons["nano-p40-narrative"].startswith("percent 0 -> 40, ")
    assert reasons["nano-p40-commonsense"].startswith("task nano_facts -> nano_commonsense, ")
    assert "not a readable record" in reasons["nano-p40-instructions"]
    assert len(reasons) == 7
