"""What a run would refuse `validate` does not approve, and it leaves nothing behind."""

import dataclasses
import errno
import os

import pytest

from glu_lib.errors import RecordError
from glu_lib.run.experiment import Experiment
from glu_lib.run.validation import validate
from glu_lib.study import STUDY, Suite
from glu_lib.study.settings import Settings


def both(folder):
    """What a run's first check raises, and what `validate` finds; validate goes first, as users would have it."""
    experiment = Experiment(Settings(results_dir=folder))
    before = sorted(folder.parent.rglob("*")) if folder.parent.exists() else None
    finding = next(iter(validate(experiment, [])))
    assert before == (sorted(folder.parent.rglob("*")) if folder.parent.exists() else None)
    try:
        experiment.recorder.check_folder()
    except RecordError as error:
        return str(error), finding
    return None, finding


def full(_descriptor):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "there",
            "cannot be written (No space left on device); check free space and permissions, or choose another folder",
        ),
        (
            "new",
            "cannot be written (No space left on device); check free space and permissions, or choose another folder",
        ),
        ("link", "is a broken link; mount or create the folder it points to"),
        ("drive/results", "mount the drive, or create it (mkdir -p)"),
        ("leads out", "is a link out of the results folder; replace it by a folder"),
        (
            "records are a file",
            "cannot be written (Not a directory); check free space and permissions, or choose another folder",
        ),
    ],
)
def test_validate_refuses_the_folder_that_a_run_refuses(tmp_path, monkeypatch, name, message):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    (tmp_path / "leads out").mkdir()
    (tmp_path / "leads out/samples").symlink_to(tmp_path / "there")
    (tmp_path / "records are a file").mkdir()
    (tmp_path / "records are a file/individual_files").write_text("in the way")
    if "No space" in message:
        monkeypatch.setattr("glu_lib.results.writing.os.fsync", full)
    refusal, finding = both(tmp_path / name)
    assert refusal is not None
    assert refusal.endswith(message)
    assert (finding.is_fine, finding.text) == (False, refusal)


@pytest.mark.parametrize("name", ["there", "new"])
def test_validate_makes_no_folder(tmp_path, name):
    (tmp_path / "there").mkdir()
    refusal, finding = both(tmp_path / name)
    assert (refusal, finding.is_fine) == (None, True)
    assert finding.text.startswith("can be written, ")
    assert (tmp_path / name / "individual_files").is_dir()  # of the run's own check, after validate's


def test_validate_names_windows_that_do_not_fit(tmp_path):
    suites = dict(STUDY.suites) | {"windows": Suite("windows", "", models=("nano",), tasks=("wikitext2_2048",))}
    experiment = Experiment(Settings(results_dir=tmp_path), dataclasses.replace(STUDY, suites=suites))
    problems = [found.text for found in validate(experiment, [STUDY.models["nano"]]) if not found.is_fine]
    assert problems == [
        "task wikitext2_2048: its windows have 2048 tokens, and the model's context has 256; choose a shorter window, "
        'or window = "context", in a study file, or leave the task out, with -k "not wikitext2_2048"'
    ]
