"""`glu table --task` prints some columns of the whole table."""

import dataclasses

import pytest
from committed import concluded

from glu_lib.analysis import headline_tables
from glu_lib.frontends.cli import record_commands
from glu_lib.frontends.cli.entry import main
from glu_lib.report import markdown_table


@pytest.fixture
def nano(monkeypatch):
    found = concluded("nano")
    monkeypatch.setattr(record_commands, "conclude", lambda *_, **__: found)
    return found


def printed(capsys, *arguments):
    assert main(["table", "anywhere", *arguments]) == 0
    return capsys.readouterr().out


def test_the_columns_stand_in_the_order_of_the_words(nano, capsys):
    output = printed(capsys, "--task", "truth", "--task", "facts")
    first = output.splitlines()[2]
    assert first == "| level | expansion ratio | truth (acc ↑) | facts (acc ↑) |"
    assert "| untrained | 4.0x | 0.222 | 0.244 |" in output
    assert "expansion ratio | truth | facts |" in output  # skill


def test_cells_are_those_of_the_whole_table(nano):
    whole = next(table for table in headline_tables(nano.rows) if table.method == "PPM")
    some = whole.with_tasks(["facts"])
    assert some.levels == whole.levels
    assert all(row is whole.cells[key] for key, row in some.cells.items())
    assert {task for task, _ in some.cells} == {"facts"}


def test_the_legend_says_over_how_many_tasks_the_correction_is(nano):
    whole = next(table for table in headline_tables(nano.rows) if table.method == "PPM")
    assert "over all levels and tasks of the table" in markdown_table(whole)
    some = whole.with_tasks(["sums", "facts"]).with_tasks(["sums"])
    assert "over the 42 comparisons of all measured tasks" in markdown_table(some)


def test_what_was_not_measured_is_refused_in_one_line(nano, capsys):
    assert main(["table", "anywhere", "--task", "fact"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--task 'fact': no record of this task (did you mean --task facts?); there are facts, sums," in error


def test_tables_without_a_pruned_level_of_the_task_are_left_out(capsys, monkeypatch):
    found = concluded("nano")
    rows = [row for row in found.rows if row["method"] != "L2" or row["subject"] == "sums"]
    monkeypatch.setattr(record_commands, "conclude", lambda *_, **__: dataclasses.replace(found, rows=tuple(rows)))
    assert "**nano, L2**" not in printed(capsys, "--task", "facts")
    assert "**nano, L2**" in printed(capsys, "--task", "sums")
