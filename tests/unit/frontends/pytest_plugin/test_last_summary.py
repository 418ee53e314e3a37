import os
import shutil

import pytest

from glu_lib.frontends.pytest_plugin.last_summary import FILE, LastSummary

LINES = [("a table", False), ("left out: a record", True)]


@pytest.fixture
def root(tmp_path):
    """A results folder with one record, its samples, and two files that a run wrote."""
    for name in (
        "individual_files/m/p0/m-p0-t.json",
        "samples/m/p0/m-p0-t.jsonl.gz",
        "results.csv",
        "report/index.html",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


def saved(root, *parameters):
    LastSummary.of(root, *parameters).save(LINES, [root / "results.csv", root / "report/index.html"])


def change(path):
    found = path.stat()
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 1))


def test_nothing_changed_and_the_lines_are_shown_again(root):
    assert LastSummary.of(root, "k", 80).lines() is None
    saved(root, "k", 80)
    assert LastSummary.of(root, "k", 80).lines() == LINES


@pytest.mark.parametrize(
    "happen",
    [
        lambda root: change(root / "individual_files/m/p0/m-p0-t.json"),
        lambda root: change(root / "samples/m/p0/m-p0-t.jsonl.gz"),
        lambda root: (root / "individual_files/m/p0/m-p0-t.json").unlink(),
        lambda root: shutil.copy(root / "results.csv", root / "individual_files/m/p0/another.json"),
        lambda root: (root / "individual_files/link").symlink_to(root / "results.csv"),
        lambda root: (root / "results.csv").unlink(),
        lambda root: (root / "report/index.html").write_text("cut"),
        lambda root: (root / FILE).write_text("[]"),
        lambda root: (root / FILE).write_text('{"key": 1, "written": {}, "lines": []}'),
        lambda root: (root / FILE).write_text("{"),
        lambda root: (root / FILE).unlink(),
        lambda root: ((root / FILE).unlink(), os.mkfifo(root / FILE)),  # reading a pipe would wait for ever
        lambda root: ((root / FILE).rename(root / "elsewhere"), (root / FILE).symlink_to(root / "elsewhere")),
    ],
)
def test_whatever_changes_has_the_lines_computed_anew(root, happen):
    saved(root)
    happen(root)
    assert LastSummary.of(root).lines() is None


def test_other_cases_another_study_or_width_have_other_lines(root):
    saved(root, ["nano-p0-facts"], 80)
    assert LastSummary.of(root, ["nano-p0-sums"], 80).lines() is None
    assert LastSummary.of(root, ["nano-p0-facts"], 100).lines() is None


def test_other_code_has_other_lines(root, tmp_path, monkeypatch):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.setattr("glu_lib.__file__", str(package / "__init__.py"))
    saved(root)
    (package / "new.py").write_text("")
    assert LastSummary.of(root).lines() is None


def test_a_folder_that_cannot_be_written_costs_only_time(root):
    (root / FILE).mkdir()
    saved(root)
    assert LastSummary.of(root).lines() is None


def test_what_lies_behind_a_link_counts_as_changed(root):
    (root / "elsewhere").mkdir()
    (root / "individual_files/n").symlink_to(root / "elsewhere")
    saved(root)
    assert LastSummary.of(root).lines() is None


def test_a_file_that_is_deleted_meanwhile_costs_only_time(root):
    LastSummary.of(root).save(LINES, [root / "results.csv", root / "gone"])
    assert LastSummary.of(root).lines() is None


def test_what_somebody_else_wrote_cannot_move_the_cursor(root):
    saved(root)
    path = root / FILE
    path.write_text(path.read_text().replace("a table", r"a \u001b[2J table"))
    assert LastSummary.of(root).lines()[0] == (r"a \x1b[2J table", False)
