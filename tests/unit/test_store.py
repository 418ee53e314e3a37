import gzip
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glu_lib.cases import Case, Pruning
from glu_lib.errors import RecordError
from glu_lib.store import Status, Store, read_record, write_atomically
from glu_lib.study import STUDY

CASE = Case(STUDY.models["nano"], Pruning(40), STUDY.tasks["sums"])
KEY = {"schema": 1, "limit": None, "few-shot": 0}
RECORD = {
    "kind": "architecture",
    **{name: {"some": "value"} for name in ("case", "pruning", "timing", "environment")},
    "done_key": KEY,
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


def test_a_written_case_is_done_and_its_samples_come_back(store):
    samples = [
        {"doc_id": 0, "exact_match": 1.0, "answers": ["3 2"]},
        {"doc_id": 1, "exact_match": 0.0, "answers": ["é"]},
    ]
    record = RECORD | {"samples": {"file": store.relative(store.samples_path(CASE, None))}}
    path = store.write(CASE, None, record, samples)
    assert path == store.root / "individual_files/nano/p40/nano-p40-sums.json"
    assert store.state(CASE, KEY).status is Status.DONE
    assert store.read_samples(read_record(path)) == samples


def test_without_a_record_a_case_is_pending(store):
    assert store.state(CASE, KEY).status is Status.PENDING


def test_a_changed_field_makes_it_stale_and_is_named(store):
    store.write(CASE, None, RECORD, [])
    state = store.state(CASE, KEY | {"few-shot": 5})
    assert (state.status, state.reason) == (Status.STALE, "few-shot 0 -> 5")


def test_a_limited_run_leaves_the_full_record_alone(store):
    full = store.write(CASE, None, RECORD, [])
    limited = store.write(CASE, 8, RECORD | {"done_key": KEY | {"limit": 8}}, [])
    assert limited.name == "nano-p40-sums-limit8.json"
    assert read_record(full)["done_key"]["limit"] is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"a": 1}', '{"done_key": 3}', "\x00\x01"])
def test_a_torn_or_foreign_record_is_stale_never_done(store, text):
    path = store.record_path(CASE, None)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    state = store.state(CASE, KEY)
    assert state.status is Status.STALE
    assert str(path) in state.reason


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_reader(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("records") / "record.json"
    path.write_bytes(data)
    with pytest.raises(RecordError):
        read_record(path)


def test_a_record_cut_at_any_byte_is_never_done(store):
    path = store.write(CASE, None, RECORD, [])
    whole = path.read_bytes().rstrip()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert store.state(CASE, KEY).status is Status.STALE


@pytest.mark.parametrize("fault", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_record_and_no_litter(store, monkeypatch, fault):
    path = store.write(CASE, None, RECORD, [])

    def fail(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*{"fsync": (os, "fsync"), "replace": (Path, "replace")}[fault], fail)
    with pytest.raises(RecordError, match="No space left on device.; free space, or choose another --results-dir"):
        store.write(CASE, None, {"done_key": KEY | {"few-shot": 9}}, [])
    assert read_record(path) == RECORD
    assert list(path.parent.iterdir()) == [path]


def test_records_refuse_what_json_cannot_hold(store):
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.write(CASE, None, RECORD | {"value": float("nan")}, [])
    assert store.state(CASE, KEY).status is Status.PENDING


def test_records_can_be_read_by_others(tmp_path):
    write_atomically(tmp_path / "a.json", b"{}")
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o644


def test_missing_samples_name_the_remedy(store):
    with pytest.raises(RecordError, match="samples cannot be read .*run the case again with --rerun"):
        store.read_samples({"samples": {"file": "samples/none.jsonl.gz"}})


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: data[:12] + b"\xff" * 8 + data[20:]])
def test_torn_and_corrupt_samples_name_the_remedy(store, damage):
    path = store.root / "torn.jsonl.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(damage(gzip.compress(b'{"doc_id": 0}\n' * 50)))
    with pytest.raises(RecordError, match="samples cannot be read .*run the case again with --rerun"):
        store.read_samples({"samples": {"file": "torn.jsonl.gz"}})


def test_record_paths_are_sorted_and_skip_temporary_files(store):
    path = store.write(CASE, None, RECORD, [])
    (path.parent / ".nano-p40-sums.json.x.tmp").write_text(json.dumps(RECORD))
    assert list(store.record_paths()) == [path]
    assert list(store.record_paths_of("nano", "p40")) == [path]


def test_a_record_without_its_measurement_or_samples_is_not_done(store):
    whole = {
        "kind": "accuracy",
        "case": {"id": "x"},
        "pruning": {"width": 1},
        "timing": {"duration_s": 1},
        "environment": {"device": "cpu"},
        "score": {"headline": {}},
        "energy": {"total_j": 1},
        "samples": {"count": 1, "file": store.relative(store.samples_path(CASE, None))},
        "done_key": KEY,
    }
    store.write(CASE, None, whole, [{"doc_id": 0}])
    assert store.state(CASE, KEY).status is Status.DONE
    store.write(CASE, None, whole | {"score": None}, [])
    assert store.state(CASE, KEY).reason == "the record lacks score"
    store.write(CASE, None, whole, [])
    store.samples_path(CASE, None).write_bytes(b"")
    assert store.state(CASE, KEY).reason.startswith("its samples ")


def test_a_folder_that_cannot_be_written_is_said_before_anything_runs(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RecordError, match="--results-dir .* cannot be written .*; choose another folder"):
        Store(tmp_path / "file" / "results").check_writable()
