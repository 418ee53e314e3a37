"""The layer scan of the embedded model: its numbers, its journal, and the model afterwards."""

import math

import pytest
import torch

from glu_lib.analysis import consolidate
from glu_lib.errors import NotFiniteError
from glu_lib.machine.environment import detect_environment
from glu_lib.measure.layers.beginnings import LayerRuns
from glu_lib.measure.layers.scan import LayerScanResult, _spare, scan_layers
from glu_lib.models.fixed_text import held_out_rows
from glu_lib.models.identity import resolve_identity
from glu_lib.models.loading import load_model
from glu_lib.models.pruning import prune
from glu_lib.results.address import RecordId
from glu_lib.results.folder import ResultsFolder
from glu_lib.results.records import parse_record
from glu_lib.results.records.values import Part
from glu_lib.results.staleness import Status
from glu_lib.results.unfinished import Answers
from glu_lib.run.calibration import pruning_texts
from glu_lib.run.experiment import Experiment
from glu_lib.run.session import Session
from glu_lib.study import STUDY, LayerScan, Method
from glu_lib.study.cases import Case
from glu_lib.study.layers import Layers
from glu_lib.study.pruning import Pruning
from glu_lib.study.settings import Settings

NANO = STUDY.models["nano"]
COUNT = 4  # layers
SCANNED = Case(NANO, Pruning(40), LayerScan(40), ("layers",))
# Of a run: numbers that differ from run to run.
OF_THE_RUN = ("scan_s", "layers_run", "layers_whole")


@pytest.fixture(autouse=True)
def no_journal_on_disk(monkeypatch):
    monkeypatch.setattr("glu_lib.results.unfinished.FLUSH_S", 3600)


def same_in_every_run(scan):
    return {name: value for name, value in scan.items() if name not in OF_THE_RUN}


def texts_of(experiment, tokenizer):
    return pruning_texts(NANO, tokenizer, experiment.library, experiment.study, experiment.settings)


@pytest.fixture(scope="module")
def level(tmp_path_factory):
    """An experiment with the unpruned model loaded; two rows of text."""
    folder = tmp_path_factory.mktemp("scan") / "results"
    experiment = Experiment(Settings(results_dir=folder, limit=2, threads=1, device="cpu", allow_shared=True))
    with experiment.levels.prepared(NANO, Pruning(0)) as prepared:
        yield experiment, prepared


@pytest.fixture(scope="module")
def record(level):
    experiment, prepared = level
    return Session(experiment).measure(SCANNED, prepared).as_json()


def fresh():
    return load_model(NANO, resolve_identity(NANO), detect_environment(Settings(device="cpu")))


def log_perplexity(model, rows):
    """Mean of −log p over all tokens but the first of each row, one row after the other."""
    total = 0.0
    with torch.no_grad():
        for row in rows:
            logs = model(row[None]).logits[0].double().log_softmax(-1)
            total -= sum(float(logs[place, token]) for place, token in enumerate(row[1:].tolist()))
    return total / (rows.shape[0] * (rows.shape[1] - 1))


@pytest.fixture(scope="module")
def expected(level):
    """The log-perplexity of a model loaded by itself and pruned in these layers; None: unpruned."""
    experiment, _ = level
    known = {}

    def of(layers, method=Method.PPM):
        key = (tuple(layers), method)
        if key not in known:
            loaded = fresh()
            rows = held_out_rows(NANO, loaded.tokenizer, 2)
            if layers:
                texts = texts_of(experiment, loaded.tokenizer)
                prune(loaded.model, Pruning(40, method, layers=Layers(",".join(map(str, layers)))), texts)
            known[key] = log_perplexity(loaded.model, rows)
        return known[key]

    return of


def others(*left_out):
    return [layer for layer in range(COUNT) if layer not in left_out]


def test_each_number_is_that_of_a_model_of_its_own(record, expected):
    scan = record["scan"]
    assert scan["unpruned"] == pytest.approx(expected([]), abs=1e-6)
    assert scan["pruned"] == pytest.approx(expected(range(COUNT)), abs=1e-6)
    assert scan["alone"] == pytest.approx([expected([layer]) for layer in range(COUNT)], abs=1e-6)
    assert scan["all_but"] == pytest.approx([expected(others(layer)) for layer in range(COUNT)], abs=1e-6)
    for step in scan["steps"]:
        assert step["measured"] == pytest.approx(expected(others(*step["spared"])), abs=1e-6)
    assert len(scan["steps"]) > 1
    assert len({scan["unpruned"], scan["pruned"], *scan["alone"], *scan["all_but"]}) == 2 + 2 * COUNT


def test_the_steps_add_the_harms_of_the_layers_that_stay_pruned(record):
    scan = record["scan"]
    for step in scan["steps"]:
        harms = [scan["alone"][layer] - scan["unpruned"] for layer in others(*step["spared"])]
        assert step["predicted"] == pytest.approx(scan["unpruned"] + sum(harms), abs=1e-9)
    worst = max(range(COUNT), key=lambda layer: scan["alone"][layer])
    assert scan["steps"][0]["spared"] == []
    assert scan["steps"][1]["spared"] == [worst]


def test_kept_outputs_of_lower_layers_save_work_and_are_used(record):
    scan = record["scan"]
    assert scan["reuses_beginnings"]
    assert scan["layers_run"] < 0.8 * scan["layers_whole"]
    assert (scan["rows"], scan["row_tokens"], scan["targets"]) == (2, 128, 2 * 127)


def test_a_model_that_does_not_allow_it_is_measured_whole_with_the_same_numbers(level, record, monkeypatch, tmp_path):
    experiment, prepared = level
    monkeypatch.setattr("glu_lib.measure.layers.scan._fits", lambda *_: False)
    again, _ = scan_layers(prepared, SCANNED.pruning, *_inputs(experiment, prepared), _answers(tmp_path))
    assert not again.reuses_beginnings
    assert again.layers_run == again.layers_whole
    for name in ("unpruned", "pruned", "alone", "all_but"):
        assert getattr(again, name) == pytest.approx(record["scan"][name], abs=1e-6)


def _inputs(experiment, prepared):
    tokenizer = prepared.loaded.tokenizer
    return texts_of(experiment, tokenizer), held_out_rows(NANO, tokenizer, 2)


def _answers(tmp_path):
    return Answers(ResultsFolder(tmp_path), tmp_path / "journal", {}, {})


@pytest.mark.parametrize("method", [Method.HYBRID, Method.RANDOM, Method.PPM_DOWN])
def test_other_methods_prune_as_by_themselves(level, expected, tmp_path, method):
    experiment, prepared = level
    found, _ = scan_layers(prepared, Pruning(40, method), *_inputs(experiment, prepared), _answers(tmp_path))
    assert found.alone[1] == pytest.approx(expected([1], method), abs=1e-6)
    assert found.pruned == pytest.approx(expected(range(COUNT), method), abs=1e-6)


def test_the_model_is_unpruned_afterwards(level, record):
    _, prepared = level
    whole, model = fresh().model, prepared.loaded.model
    weights = dict(model.named_parameters())
    assert {name: tensor.shape for name, tensor in whole.named_parameters()} == {
        name: tensor.shape for name, tensor in weights.items()
    }
    assert all(torch.equal(tensor, weights[name]) for name, tensor in whole.named_parameters())
    assert model.config.to_dict() == whole.config.to_dict()
    assert not any("forward" in vars(layer) or layer._forward_hooks for layer in model.model.layers)


def test_the_record_describes_the_model_with_all_layers_pruned(level, record):
    loaded = fresh()
    whole = prune(loaded.model, Pruning(40), texts_of(level[0], loaded.tokenizer)).as_dict()
    different = {"prune_s"}
    assert {name: value for name, value in record["pruning"].items() if name not in different} == {
        name: value for name, value in whole.items() if name not in different
    }


class Killed(KeyboardInterrupt):
    pass


@pytest.mark.parametrize("after", [1, 5, 11, 16, 23])
def test_a_scan_killed_anywhere_resumes_from_its_journal_with_equal_values(level, record, monkeypatch, after):
    experiment, prepared = level
    monkeypatch.setattr("glu_lib.results.unfinished.FLUSH_S", 0)
    original, passes = LayerRuns._loss, 0

    def loss(runs, *options):
        nonlocal passes
        passes += 1
        if passes == after:
            raise Killed
        return original(runs, *options)

    with monkeypatch.context() as patch:
        patch.setattr(LayerRuns, "_loss", loss)
        with pytest.raises(Killed):
            Session(experiment).measure(SCANNED, prepared).as_json()
    assert prepared.loaded.model.config.intermediate_size == NANO.architecture.intermediate_size
    assert {layer.mlp.up_proj.out_features for layer in prepared.loaded.model.model.layers} == {512}
    path = experiment.store.unfinished_path(RecordId(SCANNED, 2))
    # Two rows whole, two from the middle; then each value takes two passes.
    saved = max(0, (after - 1 - 4) // 2) - (after > 14)  # all layers pruned is measured anew, and not in the journal
    assert path.exists() == (saved > 0)
    again = Session(experiment).measure(SCANNED, prepared).as_json()
    assert same_in_every_run(again["scan"]) == same_in_every_run(record["scan"])
    assert (again["resumed"]["answers"] if saved else again["resumed"]) == (saved or None)
    assert not path.exists()
    if saved:
        assert again["timing"]["duration_s"] > again["resumed"]["seconds"] > 0
        assert again["scan"]["layers_run"] < record["scan"]["layers_run"]


def test_a_finished_scan_is_done_and_has_a_row_in_the_table(level, record):
    experiment, _ = level
    assert Session(experiment).look_up(SCANNED)
    assert experiment.states.of(SCANNED).status is Status.DONE
    found = consolidate(experiment.settings.results_dir)
    assert found.problems == ()
    (row,) = found.rows
    assert (row["kind"], row["case"], row["metric"]) == ("layers", "nano-p40-layer_scan", "log_perplexity")
    assert (row["value"], row["higher_is_better"]) == (record["scan"]["pruned"], False)
    (scan,) = found.scan_records
    assert same_in_every_run(scan.as_json()["scan"]) == same_in_every_run(record["scan"])


def test_every_field_of_a_scan_and_of_a_layer_set_is_described(level, record):
    experiment, _ = level
    pruning = Pruning(40, layers=Layers.parse("1-"))
    case = Case(NANO, pruning, STUDY.tasks["facts"])
    with experiment.levels.prepared(NANO, pruning) as prepared:
        scored = Session(experiment).measure(case, prepared).as_json()
    assert (scored["case"]["id"], scored["case"]["layers"]) == ("nano-p40-layers1uponly-facts", "1-")
    assert (scored["pruning"]["layers"], scored["pruning"]["widths"]) == ("1-3", [512, 308, 308, 308])
    assert None not in scored["pruning"]["removed"]["activation_share"]
    for found in (record, scored):
        extra = {name for part in parts_of(parse_record(found)) for name in part.model_extra}
        assert extra == set()


def parts_of(value):
    """A table of a record and all tables in it."""
    if isinstance(value, Part):
        yield value
        value = [getattr(value, name) for name in type(value).model_fields]
    for entry in value if isinstance(value, list) else ():
        yield from parts_of(entry)


def spared(alone, pruned, by_spared):
    """The steps of made-up log-perplexities above an unpruned model of 1."""
    found = LayerScanResult(1, 2, 1, 1.0, 1 + pruned, [1 + harm for harm in alone])
    count = len(alone)

    def measure(layers, first):
        left_out = tuple(layer for layer in range(count) if layer not in layers)
        assert first == min(left_out)
        return 1 + by_spared[left_out]

    _spare(found, measure)
    return found


def test_a_layer_whose_sparing_gives_back_much_is_spared():
    found = spared([0.1, 0.1, 0.9, *[0.1] * 9], 2.0, {(2,): 0.5, (0, 2): 0.45})
    assert (found.spared, found.recommended) == ([2], "0-1,3-11")
    assert [step["spared"] for step in found.steps] == [[], [2], [0, 2]]
    assert [step["measured"] for step in found.steps] == pytest.approx([3.0, 1.5, 1.45])
    assert found.steps[1]["predicted"] == pytest.approx(1 + 1.1)


def test_where_all_layers_cost_alike_none_is_spared():
    found = spared([0.1] * 12, 1.2, {(0,): 1.1})
    assert (found.spared, found.recommended) == ([], "all")
    assert len(found.steps) == 2


def test_where_pruning_costs_little_nothing_is_tried():
    found = spared([0.019] + [0.0] * 11, 0.019, {})
    assert (found.spared, len(found.steps)) == ([], 1)


def test_at_most_a_quarter_of_the_layers_is_spared():
    found = spared([1.0, 0.9, 0.8, *[0.0] * 5], 3.0, {(0,): 1.5, (0, 1): 0.3, (0, 1, 2): 0.0})
    assert (found.spared, found.recommended) == ([0, 1], "2-7")


def test_a_perplexity_that_is_not_a_number_is_one_line(level, tmp_path, monkeypatch):
    experiment, prepared = level
    monkeypatch.setattr(LayerRuns, "_loss", lambda *_: math.nan)
    with pytest.raises(NotFiniteError) as caught:
        scan_layers(prepared, SCANNED.pruning, *_inputs(experiment, prepared), _answers(tmp_path))
    assert str(caught.value) == "layer scan, unpruned: the perplexity is not a number; use --dtype float32"


def test_fewer_rows_are_the_first_of_more_and_no_two_are_equal(level):
    _, prepared = level
    tokenizer = prepared.loaded.tokenizer
    rows = held_out_rows(NANO, tokenizer, 3)
    assert rows.shape == (3, 128)
    assert torch.equal(held_out_rows(NANO, tokenizer, 1)[0], rows[0])
    assert len(set(map(tuple, rows.tolist()))) == 3
