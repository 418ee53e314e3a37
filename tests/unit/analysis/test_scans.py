import json
import math
from pathlib import Path

import pytest
from scan_records import random_records, scan_record, scans, write_records

from glu_lib.analysis import conclude, consolidate
from glu_lib.analysis.scans import RandomHarm, recommendations
from glu_lib.results.records.layers import recommended_text


def test_each_layer_has_its_harm_what_sparing_it_gives_back_and_what_was_removed():
    (scan,) = scans([scan_record()])
    first, second = scan.layers[:2]
    assert math.exp(first.harm) == pytest.approx(6.2)
    assert math.exp(first.given_back) == pytest.approx(6.2)
    assert (first.activation_share, first.largest_activation, first.largest_of_all) == (0.71, 300.0, 300.0)
    assert (first.score_share, first.down_norm_share) == (0.08, 0.09)
    assert (first.is_spared, second.is_spared) == (True, False)
    assert second.harm == pytest.approx(0.001)
    assert [layer.layer for layer in scan.by_harm[:3]] == [0, 4, 1]
    assert (scan.spared, scan.recommended) == ((0,), "1-15")
    assert scan.saved_share == pytest.approx(0.75)


def test_steps_hold_the_predicted_and_the_measured_perplexity():
    (scan,) = scans([scan_record()])
    whole, sparing = scan.steps
    assert whole.measured - whole.predicted == pytest.approx(0.3)
    assert (whole.adds_up, sparing.adds_up) == (False, True)
    assert scan.last is sparing


def test_random_is_its_mean_and_range_over_the_seeds():
    (scan,) = scans([*random_records(), scan_record()])
    step = math.log(1.1)
    found = scan.layers[0].random
    assert found is not None
    assert (found.mean, found.low, found.high) == pytest.approx((step, 0, 2 * step), abs=1e-12)
    assert scan.layers[1].random == RandomHarm(*[pytest.approx(0.001)] * 3)
    assert (scan.random_seeds, scan.unlike) == (3, ())


@pytest.mark.parametrize(
    ("changes", "unlike"),
    [
        ({"limit": 1}, ("limit", "rows")),
        ({"dtype": "bfloat16"}, ("dtype",)),
        ({"text": "another"}, ("text",)),
        ({"layers": 12}, ("layers",)),
        ({"<b>\n": 1}, ("<b>\\n",)),
    ],
)
def test_random_of_other_conditions_is_not_compared_with_and_the_conditions_are_named(changes, unlike):
    first, *_ = scans([scan_record(), *random_records(**changes)])
    assert (first.method, first.random_seeds, first.unlike) == ("PPM", 0, unlike)
    assert first.layers[0].random is None


@pytest.mark.parametrize("changes", [{"model": "other"}, {"percent": 20}])
def test_random_of_another_model_or_level_is_nothing_to_compare_with(changes):
    found = scans([scan_record(), *random_records(**changes)])
    assert [scan.method for scan in found if scan.model == "llama1b" and scan.percent == 10] == ["PPM"]
    assert all((scan.random_seeds, scan.unlike) == (0, ()) for scan in found)


def test_fields_of_the_method_may_differ():
    record = scan_record("hybrid", calibration="some text", scores="0123")
    (scan,) = scans([record, *random_records()])
    assert (scan.random_seeds, scan.unlike) == (3, ())


def test_random_alone_is_shown_itself():
    found = scans(random_records())
    assert [scan.method for scan in found] == ["random1", "random2", "random3"]
    assert [layer.random for scan in found for layer in scan.layers] == [None] * 48


def test_a_layer_without_numbers_on_what_was_removed_has_none():
    record = scan_record()
    record["pruning"]["removed"] = None
    assert {layer.activation_share for layer in scans([record])[0].layers} == {None}


def test_layer_sets_are_recommended_once_per_model_and_only_if_a_layer_is_spared():
    found = scans([scan_record(), scan_record(percent=20), scan_record(model="calm", harms={}, spared=())])
    assert recommendations(found) == {"llama1b": ["1-15"]}
    assert recommended_text((), 4) == "all"
    assert recommended_text((0, 3), 5) == "1-2,4"


def test_conclusions_hold_the_scans_of_a_folder(tmp_path):
    found = conclude(write_records(tmp_path, [scan_record(), *random_records()]))
    assert found.problems == ()
    assert [(scan.case, scan.random_seeds) for scan in found.scans] == [("llama1b-p10-layer_scan", 3)]


def _set(*place):
    *parts, last, value = place

    def change(record):
        target = record
        for part in parts:
            target = target[part]
        target[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("scan", "alone", 2, math.nan), "not a readable record (NaN is not a number that records may hold)"),
        (_set("scan", "alone", 2, math.inf), "not a readable record (Infinity is not a number"),
        (_set("scan", "alone", [1.0]), "scan.alone has 1 values, the model 16 layers"),
        (_set("scan", "all_but", {}), "scan.all_but is {}, not a list"),
        (_set("scan", "all_but", 3, None), "scan.all_but[3] is None, not a finite number"),
        (_set("scan", "all_but", 3, "1"), "scan.all_but[3] is '1', not a finite number"),
        (_set("scan", "pruned", True), "scan.pruned is True, not a finite number"),
        (_set("scan", "unpruned", 1e6), "scan.unpruned is 1000000.0; it must be at most 138"),
        (_set("scan", "alone", 0, -1.0), "scan.alone[0] is -1.0; it must be at least 0"),
        (_set("scan", "spared", [16]), "scan.spared is [16], not layers from 0 to 15"),
        (_set("scan", "spared", [1]), "scan.spared is [1], which no step measured"),
        (_set("scan", "spared", "0"), "scan.spared is '0', not a list"),
        (_set("scan", "steps", []), "scan.spared is [0], which no step measured"),
        (_set("scan", "steps", 1, "spared", [0, 0]), "scan.spared is [0, 0], not layers from 0 to 15"),
        (_set("scan", "steps", 0, "measured", 1e999), "not a readable record (Infinity"),
        (_set("scan", "steps", [3]), "scan.steps[0] is 3, not a table"),
        (_set("scan", "recommended", 'all"]\n[x]'), "scan.recommended is 'all\"]\\n[x]', not a text of one line"),
        (_set("scan", "recommended", "2-15"), "scan.recommended is '2-15', not the layers beside spared [0]"),
        (_set("scan", "text", "a\nb"), "scan.text is 'a\\nb', not a text of one line"),
        (_set("scan", "text", ["x"]), "scan.text is ['x'], not a text of one line"),
        (_set("scan", "targets", 0.5), "scan.targets is 0.5, not a count"),
        (_set("scan", "layers_run", -1), "scan.layers_run is -1; it must be at least 0"),
        (_set("scan", None), "scan is None, not a table"),
        (_set("pruning", "widths", []), "pruning.widths is missing"),
        (_set("pruning", "removed", "layers", [0, 99]), "pruning.removed.score_share is ["),
        (_set("pruning", "removed", "score_share", [1]), "pruning.removed.score_share is [1], not a list of 16 values"),
        (
            _set("pruning", "removed", "activation_share", 0, 1.5),
            "pruning.removed.activation_share[0] is 1.5, not a share",
        ),
        (
            _set("pruning", "removed", "largest_activation", 0, "x"),
            "pruning.removed.largest_activation[0] is 'x', not a",
        ),
        (_set("done_key", "model", 3), "done_key.model is 3, not a text of one line"),
        (_set("case", "method", None), "case.method is missing"),
    ],
)
def test_a_hostile_scan_is_one_line_and_the_others_stay(tmp_path, change, message):
    record = scan_record(model="hostile")
    change(record)
    root = write_records(tmp_path, [record, scan_record()])
    path = root / "individual_files/models/p10/hostile-p10-layer_scan.json"
    before = path.read_text()
    found = consolidate(root)
    assert [record.case.model for record in found.scan_records] == ["llama1b"]
    (line,) = found.problems
    assert line.startswith(f"{path}: {message}"), line
    assert line.isprintable()
    assert path.read_text() == before


def test_a_real_record_is_sound(tmp_path):
    """The record of a scan of the embedded model, as written on 2 cores."""
    folder = tmp_path / "individual_files/nano/p10"
    folder.mkdir(parents=True)
    example = json.loads((Path(__file__).parent / "layer_scan.json").read_text())
    (folder / "nano-p10-layer_scan.json").write_text(json.dumps(example))
    (scan,) = conclude(tmp_path).scans
    assert (scan.title, scan.recommended, scan.layers_run, scan.layers_whole) == ("nano p10 PPM", "all", 120, 176)
    assert math.exp(scan.unpruned) == pytest.approx(2.261, abs=1e-3)
