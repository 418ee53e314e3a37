"""Controls from the model beside the levels: in the tidy table and below a headline table, and nowhere else."""

import json
import shutil
from pathlib import Path

import pytest

from glu_lib.analysis import conclude, consolidate, headline_tables, write_tables
from glu_lib.report import markdown_table, terminal_lines
from glu_lib.report.wide import wide_table
from glu_lib.study import Control

NANO = Path(__file__).parents[3] / "results/measured/nano"
LEVELS = ("p0", "p20", "p40", "p60")
TASKS = ("facts", "sums", "narrative")


def add(root, level, task, control=None, **changed):
    """Copy a committed case; as a control's, if one is named, with `changed` fields of its done key."""
    name = level if control is None else str(control)
    for folder, ending in (("individual_files", "json"), ("samples", "jsonl.gz")):
        target = root / folder / "nano" / name
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(
            NANO / folder / "nano" / level / f"nano-{level}-{task}.{ending}", target / f"nano-{name}-{task}.{ending}"
        )
    if control is None:
        return
    path = root / f"individual_files/nano/{name}/nano-{name}-{task}.json"
    record = json.loads(path.read_text())
    del record["sha256"]
    percent = 100 if control == Control.NO_MLP else 0
    named = {"id": f"nano-{name}-{task}", "percent": percent, "level": name, "method": None, "control": str(control)}
    record["case"] |= named
    record["samples"]["file"] = f"samples/nano/{name}/nano-{name}-{task}.jsonl.gz"
    for field in ("method", "divisor", "optipfair"):
        record["done_key"].pop(field, None)
    record["done_key"] |= {"percent": percent, "control": str(control)} | changed
    if control == Control.NO_MLP:
        record["pruning"] |= {"percent": 100, "width": 0, "expansion_ratio": 0.0}
    path.write_text(json.dumps(record))


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    root = tmp_path_factory.mktemp("alone")
    for task in TASKS:
        for level in LEVELS:
            add(root, level, task)
    return root


@pytest.fixture(scope="module")
def beside(tmp_path_factory, alone):
    """The same levels, with both controls: that of no MLP scores as p60, the untrained one as p0."""
    root = tmp_path_factory.mktemp("beside")
    shutil.copytree(alone, root, dirs_exist_ok=True)
    for task in TASKS:
        add(root, "p60", task, Control.NO_MLP)
        add(root, "p0", task, Control.UNTRAINED)
    return root


def test_the_tidy_table_marks_controls_and_gives_them_no_level_and_no_baseline(beside, tmp_path):
    rows = [row for row in consolidate(beside).rows if row["is_headline"]]
    found = {row["case"]: row for row in rows if row["control"]}
    assert sorted(found) == [f"nano-{control}-{task}" for control in Control for task in sorted(TASKS)]
    for control in Control:
        row = found[f"nano-{control}-facts"]
        assert (row["control"], row["percent"], row["method"]) == (control.label, None, None)
        assert (row["baseline"], row["delta"], row["relative_delta"]) == (None, None, None)
    assert {row["weights"] for row in found.values() if row["control"] == "untrained"} == {"random"}
    assert {row["weights"] for row in rows if row["control"] != "untrained"} == {"real"}
    for path in write_tables(tmp_path, rows):
        assert path.stat().st_size


def test_levels_and_all_that_is_concluded_from_them_are_the_same_beside_controls(alone, beside):
    """Holm's family, trends, curves, correlations, trade-offs, joules per answer, published scores."""
    without, found = conclude(alone), conclude(beside)
    assert not found.problems
    assert [row for row in found.rows if not row["control"]] == list(without.rows)
    assert any(row["p_holm"] is not None for row in without.rows)
    assert without.trends
    assert without.curves
    assert without.trade_offs
    for name in ("changes", "trends", "curves", "correlations", "trade_offs", "correct_answers", "beside", "untested"):
        assert getattr(found, name) == getattr(without, name), name
    assert {row["p"] for row in found.rows if row["control"]} == {None}


def test_a_tables_levels_are_the_same_and_the_controls_stand_below(alone, beside):
    (without,), (found,) = (headline_tables(conclude(root).rows) for root in (alone, beside))
    assert (found.levels, found.cells, found.tasks) == (without.levels, without.cells, without.tasks)
    plain, lines = markdown_table(without).splitlines(), markdown_table(found).splitlines()
    assert lines[: 2 + len(LEVELS)] == plain[: 2 + len(LEVELS)]
    assert [line.split(" | ")[:2] for line in lines[3 + len(LEVELS) : 5 + len(LEVELS)]] == [
        ["| no MLP", "0.0x"],
        ["| untrained", "4.0x"],
    ]
    scores = [f"{found.cells[task, 60]['value']:.3f}" for task in ("facts", "sums")]
    assert lines[3 + len(LEVELS)].split(" | ")[2:4] == scores
    note = (
        "controls, not levels of pruning: no MLP (all neurons off, attention and embeddings stay), "
        "untrained (random weights of the same shape)"
    )
    assert note in found.notes
    assert note not in without.notes
    shown, levels = terminal_lines(found, 80), terminal_lines(without, 80)
    assert [line for line in levels if line in shown] == levels
    assert f"no MLP 0.0x: facts {scores[0]}, sums {scores[1]}, narrative 46.31" in shown
    assert [(row.level, row.ratio) for row in wide_table(found).rows[-2:]] == [
        ("no MLP", "0.0x"),
        ("untrained", "4.0x"),
    ]
    assert {(cell.change, cell.tint, cell.detail) for row in wide_table(found).rows[-2:] for cell in row.cells} == {
        ("", 0.0, "")
    }


def test_a_control_measured_otherwise_than_p0_is_said_so(alone, tmp_path):
    shutil.copytree(alone, tmp_path, dirs_exist_ok=True)
    add(tmp_path, "p60", "facts", Control.NO_MLP, dtype="bfloat16")
    (table,) = headline_tables(consolidate(tmp_path).rows)
    assert any(note.endswith("facts no MLP (dtype)") for note in table.notes)


def test_controls_alone_give_no_table_and_no_conclusion(tmp_path):
    for control in Control:
        add(tmp_path, "p60", "facts", control)
    found = conclude(tmp_path)
    assert len([row for row in found.rows if row["is_headline"]]) == 2
    assert (found.problems, found.changes, found.trends, headline_tables(found.rows)) == ((), (), (), [])


def test_a_record_of_an_unknown_control_is_not_used(alone, tmp_path):
    shutil.copytree(alone, tmp_path, dirs_exist_ok=True)
    add(tmp_path, "p60", "facts", "no_attention")
    found = consolidate(tmp_path)
    assert "no_attention" not in {row["control"] for row in found.rows}
    (problem,) = found.problems
    assert "no_attention" in problem


def test_a_workload_of_a_control_is_not_used(tmp_path):
    """It would stand among the levels, at 0 or 100 %."""
    path = tmp_path / "individual_files/quarter/untrained/quarter-untrained-decode_b1.json"
    path.parent.mkdir(parents=True)
    quarter = NANO.parent / "cpu_alignment/individual_files/quarter/p0/quarter-p0-decode_b1.json"
    record = json.loads(quarter.read_text())
    del record["sha256"]
    record["case"]["control"] = "untrained"
    path.write_text(json.dumps(record))
    found = conclude(tmp_path)
    assert (found.rows, found.efficiencies) == ((), ())
    assert found.problems[0].endswith("a control of kind energy, but controls have scores only; delete it")
