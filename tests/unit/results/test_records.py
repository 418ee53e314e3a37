"""The types of records: committed records read back equal, and what is wrong is said in one line."""

import copy
import gzip
import json
from pathlib import Path

import pytest

from glu_lib.errors import RecordError
from glu_lib.results.record import sealed
from glu_lib.results.records import parse_record

MEASURED = Path(__file__).resolve().parents[3] / "results/measured"
COMMITTED = sorted(MEASURED.glob("*/individual_files/*/*/*.json"))
SCORE = MEASURED / "nano/individual_files/nano/p40/nano-p40-facts.json"
ENERGY = MEASURED / "cpu_alignment/individual_files/quarter/p40/quarter-p40-decode_b1.json"
SHAPE = MEASURED / "nano/individual_files/nano/p40/nano-p40-architecture.json"


def test_committed_records_read_back_equal_byte_for_byte_with_their_seal():
    assert len(COMMITTED) > 100
    for path in COMMITTED:
        text = path.read_text(encoding="utf-8")
        found = parse_record(json.loads(text)).as_json()
        assert found == json.loads(text)
        assert json.dumps(found, ensure_ascii=False, indent=1) + "\n" == text, path
        assert sealed(found) == found


def test_committed_samples_hold_no_text_of_a_data_set():
    foreign = [path for path in MEASURED.glob("*/samples/*/*/*.gz") if path.parts[-3] != "nano"]
    assert len(foreign) > 100
    for path in foreign:
        for line in gzip.decompress(path.read_bytes()).decode().split("\n"):
            target = json.loads(line)["target"] if line else None
            assert target is None or str(target).isdecimal(), path


def test_what_other_versions_write_is_kept():
    record = json.loads(SCORE.read_text())
    record["later"] = {"deep": [{"er": 1e-9}]}
    record["energy"]["npu"] = None
    record["done_key"]["a new field"] = "x"
    assert parse_record(record).as_json() == record


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (SCORE, ("conditions", "resumed", "sha256")),
        (SCORE, ("case.prompt_format", "score.num_fewshot", "score.generation_settings", "score.tied_items")),
        (SCORE, ("score.headline.is_collapsed", "score.headline.log_value", "energy.is_short", "energy.total_reason")),
        (SCORE, ("samples.bytes", "samples.sha256", "environment.outside", "memory.loading.other_models_bytes")),
        (ENERGY, ("idle", "schedule", "repeats.0.natural.passes", "repeats.0.conditions.other_cpu_cores")),
    ],
)
def test_fields_of_later_versions_may_be_absent_and_stay_so(path, fields):
    record = json.loads(path.read_text())
    for field in fields:
        *places, last = [int(part) if part.isdecimal() else part for part in field.split(".")]
        target = record
        for place in places:
            target = target[place]
        target.pop(last, None)
    assert parse_record(record).as_json() == record


def test_a_record_cannot_be_changed():
    record = parse_record(json.loads(SCORE.read_text()))
    with pytest.raises(ValueError, match="frozen"):
        record.case.percent = 60


SCAN = {
    "text": "a text",
    "rows": 4,
    "row_tokens": 128,
    "targets": 508,
    "unpruned": 0.8,
    "pruned": 0.9,
    "alone": [0.9, 0.8],
    "all_but": [0.8, 0.9],
    "spared": [0],
    "recommended": "1",
    "steps": [{"spared": [], "predicted": 1.0, "measured": 0.9}, {"spared": [0], "predicted": 0.9, "measured": 0.8}],
    "reuses_beginnings": True,
    "layers_run": 8,
    "layers_whole": 12,
    "scan_s": 1.5,
}


@pytest.fixture
def scan():
    """The record of a layer scan of a model with two layers."""
    record = json.loads(SHAPE.read_text())
    record["done_key"].pop("transformers")
    record["done_key"] |= {"dtype": "float32", "limit": None, "seed": 1234, "text": "a text"}
    record["pruning"] |= {"layers": None, "percent_of": "layer", "widths": [308, 308], "removed": None}
    peak = {"source": "resident set", "before_bytes": 1, "peak_bytes": 2, "reason": None, "other_models_bytes": 0}
    record |= {"kind": "layers", "scan": copy.deepcopy(SCAN), "runtime": {"threads": 1}, "resumed": None}
    return record | {"memory": {"loading": peak, "pruning": peak}}


def test_a_layer_scan_reads_back_equal(scan):
    assert parse_record(scan).as_json() == scan


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alone": [0.9]}, "scan.alone has 1 values, the model 2 layers; run the case again"),
        ({"all_but": []}, "scan.all_but has 0 values, the model 2 layers; run the case again"),
        ({"spared": [2]}, "scan.spared is [2], not layers from 0 to 1; run the case again"),
        ({"spared": [-1]}, "scan.spared[0] is -1; it must be at least 0; run the case again"),
        ({"pruned": float("nan")}, "scan.pruned is nan, not a finite number; run the case again"),
        ({"alone": [float("inf"), 0]}, "scan.alone[0] is inf, not a finite number; run the case again"),
        ({"text": "a\nb"}, "scan.text is 'a\\nb', not a text of one line; run the case again"),
        ({"recommended": "=1+1"}, "scan.recommended is '=1+1', which spreadsheets read as a formula; run the case"),
    ],
)
def test_what_is_wrong_with_a_layer_scan_is_named(scan, change, message):
    scan["scan"] |= change
    with pytest.raises(RecordError) as error:
        parse_record(scan)
    assert str(error.value).startswith(message)


def test_a_scan_without_widths_is_named(scan):
    del scan["pruning"]["widths"]
    with pytest.raises(RecordError, match=r"pruning\.widths is missing"):
        parse_record(scan)
