import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from glu_lib.cluster.messages import Answered
from glu_lib.cluster.receiving import Receiver
from glu_lib.cluster.turns import groups_of
from glu_lib.errors import MeasurementError, RecordError
from glu_lib.results.address import RecordId
from glu_lib.results.journal_lines import line_of
from glu_lib.results.record import sealed
from glu_lib.results.store import Store
from glu_lib.study import STUDY
from glu_lib.study.cases import build_cases
from glu_lib.study.settings import Settings

NANO = Path(__file__).resolve().parents[3] / "results/measured/nano"
(CASE,) = [case for case in build_cases(STUDY) if case.id == "nano-p40-facts"]
ID = RecordId(CASE)
LM_EVAL = f"{ID.lm_eval}/nano/results.json"


@pytest.fixture
def files():
    return {
        str(ID.record): (NANO / ID.record).read_bytes(),
        str(ID.samples): (NANO / ID.samples).read_bytes(),
        LM_EVAL: b"{}",
    }


@pytest.fixture
def receiver(tmp_path):
    store = Store(tmp_path / "results")
    store.check_writable()
    key = json.loads((NANO / ID.record).read_bytes())["done_key"]
    states = SimpleNamespace(done_key=lambda case: key, address=lambda case: RecordId(case))
    recorder = SimpleNamespace(ensure_folder=lambda: None)
    return Receiver(SimpleNamespace(store=store, states=states, recorder=recorder, settings=Settings()))


def written(receiver):
    root = receiver.experiment.store.root
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_the_files_of_a_case_are_written_as_they_came_and_its_journal_goes(receiver, files):
    receiver.note(CASE, Answered(CASE.id, 0, b"answers\n"))
    assert str(ID.unfinished) in written(receiver)
    receiver.accept(CASE, files)
    assert written(receiver) == files


def changed(files, **changes):
    record = json.loads(files[str(ID.record)]) | changes
    return files | {str(ID.record): json.dumps(sealed(record)).encode()}


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda files: files | {"individual_files/nano/p40/other.json": b""}, "no file of this case"),
        (lambda files: files | {f"{ID.lm_eval}/../../x": b""}, "no file of this case"),
        (lambda files: files | {"/etc/x": b""}, "no file of this case"),
        (lambda files: files | {str(ID.record): b"{"}, "no sound record"),
        (lambda files: files | {str(ID.record): files[str(ID.record)].replace(b"0.9", b"0.8")}, "whose sha256 differs"),
        (lambda files: {LM_EVAL: b""}, "no sound record"),
        (lambda files: changed(files, done_key={}), "no sound record"),
        (lambda files: files | {str(ID.samples): b"x"}, "other samples than its record names"),
        (lambda files: {name: data for name, data in files.items() if name != str(ID.samples)}, "other samples"),
    ],
)
def test_what_is_not_of_this_case_is_refused_and_nothing_is_written(receiver, files, change, line):
    with pytest.raises(MeasurementError, match=line):
        receiver.accept(CASE, change(files))
    assert written(receiver) == {}


def test_a_record_with_another_done_key_is_refused(receiver, files):
    key = json.loads(files[str(ID.record)])["done_key"]
    with pytest.raises(MeasurementError, match="measured something else \\(seed 7 -> 1234\\); nothing is recorded"):
        receiver.accept(CASE, changed(files, done_key=key | {"seed": 7}))
    assert written(receiver) == {}


def test_a_record_that_cannot_be_written_is_a_record_error(receiver, files):
    shutil.rmtree(receiver.experiment.store.root)
    with pytest.raises(RecordError, match="the results folder"):
        receiver.accept(CASE, files)


def test_answers_are_appended_and_a_gap_is_not_written(receiver):
    receiver.note(CASE, Answered(CASE.id, 0, b"one\n"))
    receiver.note(CASE, Answered(CASE.id, 4, b"two\n"))
    receiver.note(CASE, Answered(CASE.id, 20, b"three\n"))
    assert written(receiver)[str(ID.unfinished)] == b"one\ntwo\n"
    receiver.note(CASE, Answered(CASE.id, 0, b"anew\n"))
    assert written(receiver)[str(ID.unfinished)] == b"anew\n"


def test_work_carries_whole_lines_of_journals_and_the_other_records_of_the_level(receiver, files):
    lines = line_of({"binding": 1}) + line_of({"answers": {}})
    receiver.note(CASE, Answered(CASE.id, 0, lines + b"torn"))
    other = receiver.experiment.store.root / "individual_files/nano/p40/nano-p40-sums.json"
    for path in (other, receiver.experiment.store.root / ID.record):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"{}")
    (group,) = groups_of([CASE])
    work = receiver.work(group)
    assert (work.group, work.cases) == ("nano-p40", ("nano-p40-facts",))
    assert work.journals == {CASE.id: lines}
    assert work.records == {"individual_files/nano/p40/nano-p40-sums.json": b"{}"}
    assert work.keys[CASE.id]["task"] == "nano_facts"


def test_a_run_that_measures_again_takes_over_no_answers(receiver):
    receiver.note(CASE, Answered(CASE.id, 0, line_of({"binding": 1})))
    receiver.experiment.settings = Settings(rerun=True)
    assert receiver.work(groups_of([CASE])[0]).journals == {}
