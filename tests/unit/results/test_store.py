import dataclasses
import gzip
import json
import os
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_records import merged, record_values

from glu_lib.errors import MeasurementError, RecordError
from glu_lib.results.address import RecordId
from glu_lib.results.record import read_record, read_scored, sealed
from glu_lib.results.records import Samples
from glu_lib.results.staleness import Status
from glu_lib.results.store import Store
from glu_lib.results.writing import write_at, write_atomically
from glu_lib.study import STUDY
from glu_lib.study.cases import Case
from glu_lib.study.pruning import Pruning

CASE = Case(STUDY.models["nano"], Pruning(40), STUDY.tasks["sums"])
ID = RecordId(CASE)
KEY = record_values({})["done_key"]
RECORD = record_values({"case": {"id": CASE.id}})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "results")
    store.check_writable()
    return store


def put(store, changes):
    """The record of a written case with other fields (`...`: without), sealed again, as it may come from anywhere."""
    path = store.write(ID, RECORD, [{"doc_id": 0}])
    found = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(sealed({name: value for name, value in found.items() if value is not ...})))
    return path


def test_a_written_case_is_done_and_its_samples_come_back(store):
    samples = [
        {"doc_id": 0, "exact_match": 1.0, "answers": ["3 2"]},
        {"doc_id": 1, "exact_match": 0.0, "answers": ["é"]},
    ]
    path = store.write(ID, RECORD, samples)
    assert path == store.root / "individual_files/nano/p40/nano-p40-sums.json"
    assert store.state(ID, KEY).status is Status.DONE
    assert store.read_samples(read_scored(path).samples) == samples


def test_without_a_record_a_case_is_pending(store):
    assert store.state(ID, KEY).status is Status.PENDING


def test_a_changed_field_makes_it_stale_and_is_named(store):
    store.write(ID, RECORD, [])
    state = store.state(ID, KEY | {"few-shot": 5})
    assert (state.status, state.reason) == (Status.STALE, "few-shot 0 -> 5")


def test_a_total_that_lacks_a_part_makes_it_stale_with_the_reason(store):
    nothing = {"energy_j": None, "source": "nvml", "quality": "measured", "reason": "the counter did not advance"}
    parts = {
        name: {"energy_j": 2.0, "source": "rapl", "quality": "measured", "reason": None} for name in ("cpu", "ram")
    }
    energy = {"window_s": 1.0, "total_j": 4.0, "quality": "measured", "gpu": nothing, **parts}
    record = merged(RECORD, {"energy": energy, "environment": {"device": "cuda", "memory_bytes": 1 << 34}})
    store.write(ID, record, [{"doc_id": 0}])
    state = store.state(ID, KEY)
    assert state.status is Status.STALE
    assert state.reason == "its energy has a total without the GPU (the counter did not advance)"
    store.write(ID, merged(record, {"energy": {"total_j": None, "quality": None}}), [{"doc_id": 0}])
    assert store.state(ID, KEY).status is Status.DONE


def test_a_limited_run_leaves_the_full_record_alone(store):
    full = store.write(ID, RECORD, [])
    limited = store.write(RecordId(CASE, 8), RECORD | {"done_key": KEY | {"limit": 8}}, [])
    assert limited.name == "nano-p40-sums-limit8.json"
    assert read_record(full).done_key.limit is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"a": 1}', '{"done_key": 3}', "\x00\x01"])
def test_a_torn_or_foreign_record_is_stale_never_done(store, text):
    path = store.record_path(ID)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    state = store.state(ID, KEY)
    assert state.status is Status.STALE
    assert state.reason.endswith(f" ({path})")
    assert state.reason.count(str(path)) == 1


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_reader(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("records") / "record.json"
    path.write_bytes(data)
    with pytest.raises(RecordError):
        read_record(path)


def test_a_record_cut_at_any_byte_is_never_done(store):
    path = store.write(ID, RECORD, [])
    whole = path.read_bytes().rstrip()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert store.state(ID, KEY).status is Status.STALE


@pytest.mark.parametrize("fault", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_record_and_no_litter(store, monkeypatch, fault):
    path = store.write(ID, RECORD, [])

    def fail(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*{"fsync": (os, "fsync"), "replace": (Path, "replace")}[fault], fail)
    with pytest.raises(RecordError, match="No space left on device.; free space, or choose another --results-dir"):
        store.write(ID, RECORD | {"done_key": KEY | {"few-shot": 9}}, [])
    assert read_record(path).as_json() == sealed(RECORD)
    assert list(path.parent.iterdir()) == [path]


def test_what_does_not_have_its_type_is_not_written_and_the_old_record_stays(store):
    path = store.write(ID, RECORD, [{"doc_id": 0}])
    written = path.read_bytes(), store.samples_path(ID).read_bytes()
    with pytest.raises(MeasurementError, match=r"nano-p40-sums: energy.window_s is 'x', not a finite number; .*a bug"):
        store.write(ID, merged(RECORD, {"energy": {"window_s": "x"}}), [{"doc_id": 1}])
    assert (path.read_bytes(), store.samples_path(ID).read_bytes()) == written


@pytest.mark.parametrize("limit", [None, 8])
def test_all_that_belongs_to_a_record_has_its_address(store, limit):
    found = RecordId(CASE, limit)
    name = "nano-p40-sums" if limit is None else "nano-p40-sums-limit8"
    assert [str(path) for path in (found.record, found.samples, found.lm_eval, found.unfinished, found.lease)] == [
        f"individual_files/nano/p40/{name}.json",
        f"samples/nano/p40/{name}.jsonl.gz",
        f"lm_eval/nano/p40/{name}",
        f"unfinished/nano/p40/{name}.jsonl",
        f"leases/{name}.lease",
    ]
    assert store.samples_of(str(found.record)) == store.samples_path(found)
    assert store.lm_eval_of(str(found.record)) == store.lm_eval_folder(found)
    bare = Case(STUDY.models["nano"], Pruning(40), "architecture")
    assert RecordId(bare, limit) == RecordId(bare)  # it has no samples, so no limit applies


def test_records_refuse_what_json_cannot_hold(store):
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.write(ID, RECORD | {"value": float("nan")}, [])
    assert store.state(ID, KEY).status is Status.PENDING


def test_records_can_be_read_by_others(tmp_path):
    write_atomically(tmp_path / "a.json", b"{}")
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o644


def test_missing_samples_name_the_remedy(store):
    with pytest.raises(RecordError, match="samples cannot be read .*run the case again with --rerun"):
        store.read_samples(Samples(count=1, file="samples/none.jsonl.gz"))


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: data[:12] + b"\xff" * 8 + data[20:]])
def test_torn_and_corrupt_samples_name_the_remedy(store, damage):
    path = store.root / "torn.jsonl.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(damage(gzip.compress(b'{"doc_id": 0}\n' * 50)))
    with pytest.raises(RecordError, match="samples cannot be read .*run the case again with --rerun"):
        store.read_samples(Samples(count=50, file="torn.jsonl.gz"))


def test_record_paths_are_sorted_and_skip_temporary_files(store):
    path = store.write(ID, RECORD, [])
    (path.parent / ".nano-p40-sums.json.x.tmp").write_text(json.dumps(RECORD))
    assert list(store.record_paths()) == [path]
    assert list(store.record_paths_of("nano", "p40")) == [path]


def test_a_record_without_its_measurement_or_samples_is_not_done(store):
    store.write(ID, RECORD, [{"doc_id": 0}])
    assert store.state(ID, KEY).status is Status.DONE
    put(store, {"score": None})
    assert store.state(ID, KEY).reason.startswith("score is None, not a table; run the case again")
    put(store, {"samples": ...})
    assert store.state(ID, KEY).reason.startswith("samples is missing; run the case again")
    store.write(ID, RECORD, [{"doc_id": 0}])
    store.samples_path(ID).write_bytes(b"")
    assert re.fullmatch("its samples .* were changed after the record was written .*", store.state(ID, KEY).reason)
    store.samples_path(ID).unlink()
    assert re.fullmatch("its samples .* are missing", store.state(ID, KEY).reason)


def test_a_record_changed_by_hand_is_stale_and_left_out_whatever_its_layout(store):
    path = store.write(ID, RECORD, [{"doc_id": 0}])
    record = json.loads(path.read_text())
    path.write_text(json.dumps(dict(reversed(record.items()))))
    assert store.state(ID, KEY).status is Status.DONE
    path.write_text(json.dumps(merged(record, {"pruning": {"width": 1}})))
    state = store.state(ID, KEY)
    assert state.status is Status.STALE
    assert "was changed after it was written (its sha256 differs)" in state.reason
    with pytest.raises(RecordError, match="restore it or run the case again"):
        read_record(path)
    del record["sha256"]
    path.write_text(json.dumps(record))
    assert store.state(ID, KEY).reason == "the record lacks sha256"


def test_a_record_in_the_place_of_another_is_stale(store):
    other = dataclasses.replace(CASE, subject=STUDY.tasks["facts"])
    path = store.write(ID, RECORD, [{"doc_id": 0}])
    shutil.copy(path, store.record_path(RecordId(other)))
    assert store.state(RecordId(other), KEY).reason == "the record is of nano-p40-sums"


@pytest.mark.parametrize("name", ["../../secret.jsonl.gz", "/etc/passwd", "samples/../../x", "a\0b", "x" * 5000])
def test_samples_outside_the_results_folder_are_never_read(store, tmp_path, name):
    (tmp_path / "secret.jsonl.gz").write_bytes(gzip.compress(b'{"doc_id": 0}\n'))
    with pytest.raises(RecordError, match="not a file in this folder"):
        store.read_samples(Samples(count=1, file=name))
    put(store, {"samples": {"count": 1, "file": name}})
    assert "not a file in this folder" in store.state(ID, KEY).reason


def test_a_sealed_record_without_a_number_is_unreadable(store):
    path = store.write(ID, RECORD | {"value": 1.5}, [])
    path.write_text(path.read_text().replace("1.5", "1e999"))
    assert "not a readable record" in store.state(ID, KEY).reason


def test_a_few_bytes_that_unpack_to_very_many_are_refused(store, monkeypatch):
    monkeypatch.setattr("glu_lib.results.store._MOST_SAMPLES_BYTES", 1000)
    record = read_scored(store.write(ID, RECORD, [{"doc_id": 0}] * 100))
    with pytest.raises(RecordError, match="more than 1000 bytes of samples; delete it"):
        store.read_samples(record.samples)


def test_links_out_of_a_folder_from_elsewhere_are_never_written_through(store, tmp_path):
    target = tmp_path / "private"
    target.mkdir()
    (store.root / "individual_files/nano").symlink_to(target)
    with pytest.raises(RecordError, match="is a link, or behind one, to .*private.*: remove the link"):
        store.write(ID, RECORD, [])
    (store.root / "samples").symlink_to(target)
    with pytest.raises(RecordError, match="samples is a link out of the results folder; replace it by a folder"):
        store.check_writable()
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("place", ["samples/nano", "samples/nano/p40", "unfinished/nano", "lm_eval/nano/p40"])
def test_links_deeper_in_a_folder_are_not_followed_either(store, tmp_path, place):
    target = tmp_path / "private"
    (target / "p40").mkdir(parents=True)
    (store.root / place).parent.mkdir(parents=True, exist_ok=True)
    (store.root / place).symlink_to(target)
    paths = (store.samples_path(ID), store.unfinished_path(ID), store.lm_eval_folder(ID))
    (path,) = (path for path in paths if path.is_relative_to(store.root / place))
    with pytest.raises(PermissionError, match="is a link, or behind one, to .*private.*: remove the link"):
        store.make_room(path)
    if place.startswith("samples"):
        with pytest.raises(RecordError, match="remove the link"):
            store.write(ID, RECORD, [{"doc_id": 0}])
    assert [*target.rglob("*")] == [target / "p40"]


def test_a_link_in_the_place_of_a_file_is_not_written_through(store, tmp_path):
    outside = tmp_path / "precious"
    outside.write_text("mine")
    path = store.unfinished_path(ID)
    path.parent.mkdir(parents=True)
    path.symlink_to(outside)
    with pytest.raises(PermissionError, match="remove the link"):
        store.make_room(path)
    with pytest.raises(OSError, match="symbolic links"):
        write_at(path, 0, b"x")
    assert outside.read_text() == "mine"


def test_what_is_no_file_of_its_own_is_no_record(store, tmp_path):
    path = store.record_path(ID)
    path.parent.mkdir(parents=True)
    os.mkfifo(path)  # reading it would wait for ever
    assert "not a regular file" in store.state(ID, KEY).reason
    path.unlink()
    path.symlink_to("/etc/passwd")
    assert "not a regular file" in store.state(ID, KEY).reason
    path.unlink()
    path.symlink_to(tmp_path / "nothing")
    assert store.state(ID, KEY).status is Status.STALE


@pytest.mark.parametrize(
    ("part", "value", "reason"),
    [
        ("case", [1], "case is [1], not a table; run the case again (PATH)"),
        ("timing", 3, "timing is 3, not a table; run the case again (PATH)"),
        ("kind", "architecture", "the record is of kind architecture"),
        ("case", {"id": "x\n\x1b[31m"}, "the record is of x\\n\\x1b[31m"),
    ],
)
def test_a_sealed_record_of_another_shape_is_not_done(store, part, value, reason):
    path = put(store, {part: value})
    assert store.state(ID, KEY).reason == reason.replace("PATH", str(path))


def test_litter_is_removed_from_beside_what_others_may_be_writing_when_it_is_old(tmp_path):
    path = tmp_path / "results.csv"
    old, new = tmp_path / ".results.csv.a.tmp", tmp_path / ".results.csv.b.tmp"
    for litter in (old, new):
        litter.write_text("half")
    os.utime(old, (1e9, 1e9))
    write_atomically(path, b"whole")
    assert sorted(found.name for found in tmp_path.iterdir()) == [".results.csv.b.tmp", "results.csv"]


def test_a_results_folder_that_is_a_link_to_nothing_is_named(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    with pytest.raises(RecordError, match="is a broken link; mount or create the folder it points to"):
        Store(tmp_path / "link").check_writable()


def test_reasons_from_a_foreign_record_are_one_line_without_escape_sequences(store):
    put(store, {"done_key": KEY | {"few-shot": "\x1b[31m\n5", "x\ny": 1}})
    reason = store.state(ID, KEY).reason
    assert reason.isprintable()
    assert "few-shot \\x1b[31m\\n5 -> 0" in reason


def test_samples_of_another_run_are_noticed(store):
    """A kill between samples and record of a --rerun leaves the old record beside new samples."""
    path = store.write(ID, RECORD, [{"doc_id": 0}])
    samples = store.samples_path(ID)
    data = samples.read_bytes()
    samples.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(RecordError, match="samples"):
        store.read_samples(read_scored(path).samples)
    samples.write_bytes(data + data)
    assert "were changed after the record was written" in store.state(ID, KEY).reason


def test_a_results_folder_that_is_gone_is_not_made_anew(store):
    shutil.rmtree(store.root)
    with pytest.raises(
        RecordError, match="the record cannot be written .the results folder .* is gone: mount it again"
    ):
        store.write(ID, RECORD, [])
    assert not store.root.exists()


def test_a_folder_that_cannot_be_written_is_said_before_anything_runs(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RecordError, match="--results-dir .* cannot be written .*; check free space and permissions"):
        Store(tmp_path / "file").check_writable()
    with pytest.raises(RecordError, match="there is no folder .*drive; mount the drive, or create it .mkdir -p."):
        Store(tmp_path / "drive" / "results").check_writable()
    assert not (tmp_path / "drive").exists()
    Store(tmp_path / "results" / "random_weights").check_writable()  # a folder of ours in a new one
