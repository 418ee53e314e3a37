import dataclasses
import hashlib
import json
from pathlib import Path

import pytest

import glu_lib.models
from glu_lib.machine.environment import detect_environment
from glu_lib.models.identity import ModelIdentity, resolve_identity
from glu_lib.results.record import case_fields
from glu_lib.results.staleness import differences
from glu_lib.run.done_key import done_key
from glu_lib.study import STUDY, Control, Method
from glu_lib.study.asked import Asked
from glu_lib.study.cases import Case
from glu_lib.study.items import SampleFile
from glu_lib.study.layers import Layers, PercentOf
from glu_lib.study.methods import Selection
from glu_lib.study.pruning import Pruning
from glu_lib.study.settings import DType, Settings

ENVIRONMENT = detect_environment(Settings(device="cpu"))
NANO = STUDY.models["nano"]
IDENTITY = resolve_identity(NANO)
FACTS = Case(NANO, Pruning(40), STUDY.tasks["facts"])


def key(case=FACTS, identity=IDENTITY, settings=None, environment=ENVIRONMENT):
    return done_key(case, identity, settings or Settings(), environment)


def test_the_same_case_has_the_same_key():
    assert key() == key()


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        ({"settings": Settings(limit=8)}, "limit none -> 8"),
        ({"settings": Settings(seed=7)}, "seed 1234 -> 7"),
        ({"environment": dataclasses.replace(ENVIRONMENT, dtype=DType.BFLOAT16)}, "dtype float32 -> bfloat16"),
        ({"identity": ModelIdentity("embedded", "sha256:x", None)}, "model version sha256:"),
        ({"case": Case(NANO, Pruning(40, Method.L2), FACTS.subject)}, "method PPM -> L2"),
        ({"case": Case(NANO, Pruning(40, divisor=64), FACTS.subject)}, "divisor none -> 64"),
        ({"case": Case(NANO, Pruning(40), dataclasses.replace(FACTS.subject, num_fewshot=5))}, "few-shot 0 -> 5"),
    ],
)
def test_each_choice_that_moves_a_score_makes_a_record_stale(changed, difference):
    found = differences(key(), key(**changed))
    assert len(found) == 1
    assert found[0].startswith(difference)


def test_a_tasks_own_limit_is_in_the_key_only_where_it_decides():
    case = Case(NANO, Pruning(40), dataclasses.replace(FACTS.subject, limit=6))
    assert differences(key(), key(case)) == ["task limit absent -> 6"]
    assert key(case, settings=Settings(limit=8))["task limit"] == 6
    assert key(case, settings=Settings(limit=2)) == key(settings=Settings(limit=2))
    chosen = Settings(samples=SampleFile("few", (("facts", (("nano_facts", (0, 3)),)),), 2))
    assert key(case, settings=chosen) == key(settings=chosen)


def test_what_was_really_cut_is_in_the_key_and_not_the_words_that_asked():
    """2.4x of nano is 307 neurons; 2.399x is too, and 740,000 parameters are a neuron more in none of the layers."""
    asked = [Pruning(0).to(Asked.parse(text), NANO.architecture, 4) for text in ("2.4x", "2.399x", "0.74M", "2.96MB")]
    keys = [key(Case(NANO, pruning, FACTS.subject)) for pruning in asked]
    assert [found["width"] for found in keys] == [307] * 4
    assert keys == keys[:1] * 4
    assert differences(key(), keys[0]) == ["percent 40 -> 40.0390625", "width absent -> 307"]
    half = Pruning(0).to(Asked.parse("2.96MB"), NANO.architecture, 2)
    assert half.unfit is not None


def test_the_window_is_in_the_key_of_tasks_with_windows():
    task = STUDY.tasks["wikitext2_2048"]
    found = [
        key(Case(NANO, Pruning(40), dataclasses.replace(task, window=window))) for window in (2048, 4096, "context")
    ]
    assert [each["window"] for each in found] == ["2048", "4096", "context"]
    assert differences(found[0], found[1]) == ["window 2048 -> 4096"]
    assert "window" not in key()  # records of other tasks stay done


@pytest.mark.parametrize("package", ["optipfair", "lm_eval"])
def test_library_versions_that_decide_the_result_are_in_the_key(package):
    versions = ENVIRONMENT.versions | {package: "99"}
    found = differences(key(), key(environment=dataclasses.replace(ENVIRONMENT, versions=versions)))
    assert [line.split(" -> ")[1] for line in found] == ["99"]


def test_the_embedded_tasks_own_items_are_in_the_key():
    assert len(key()["task data"]) == 64
    hub = Case(STUDY.models["llama1b"], Pruning(0), STUDY.tasks["piqa"])
    assert key(hub, ModelIdentity("x", "commit:y", None))["task data"] is None


def test_nothing_is_selected_at_p0_so_no_method_is_in_its_key():
    baseline = Case(NANO, Pruning(0), FACTS.subject)
    assert "method" not in key(baseline)
    assert "optipfair" not in key(baseline)


def test_batch_size_and_threads_do_not_make_a_score_stale():
    assert key(settings=Settings(batch_size=1, threads=2)) == key()


def test_hardware_makes_an_energy_record_stale():
    case = Case(NANO, Pruning(40), STUDY.workloads["facts_latency_b1"])
    other = dataclasses.replace(ENVIRONMENT, cpu="another processor")
    assert differences(key(case), key(case, environment=other))[0].endswith("-> another processor")


def test_fields_of_an_older_schema_are_named_as_absent():
    assert differences({"schema": 0, "gone": 1}, {"schema": 1, "new": 2}) == [
        "schema 0 -> 1",
        "new absent -> 2",
        "gone 1 -> absent",
    ]


def test_a_controls_key_names_it_and_nothing_that_selects_neurons():
    keys = {pruning.key: key(Case(NANO, pruning, FACTS.subject)) for pruning in (Pruning(0), *map(Pruning.of, Control))}
    assert differences(keys["p0"], keys["nomlp"]) == ["percent 0 -> 100", "control absent -> nomlp"]
    assert differences(keys["p0"], keys["untrained"]) == ["control absent -> untrained"]


@pytest.mark.parametrize("pruning", [Pruning(0), Pruning(40)], ids=["p0", "p40"])
def test_records_without_controls_keep_their_fields(pruning):
    case = Case(NANO, pruning, FACTS.subject, ("embedded",))
    folder = Path(__file__).parents[3] / "results/measured/nano/individual_files/nano"
    record = json.loads((folder / f"{pruning.key}/{case.id}.json").read_text())
    assert case_fields(case) == record["case"]
    assert list(key(case)) == list(record["done_key"])


def selected(pruning, settings=None):
    return key(Case(NANO, pruning, FACTS.subject), settings=settings)


def test_a_layer_set_is_in_the_key_and_no_other_field_changes():
    layers = Layers.parse("1-")
    assert differences(selected(Pruning(40)), selected(Pruning(40, layers=layers))) == [
        "layers absent -> 1-",
        "percent of absent -> layer",
    ]
    of_model = Pruning(40, layers=layers, percent_of=PercentOf.MODEL)
    assert differences(selected(Pruning(40, layers=layers)), selected(of_model)) == ["percent of layer -> model"]


def test_a_random_selections_seed_is_in_the_key():
    one, two = (selected(Pruning(40, Method.RANDOM, seed=seed)) for seed in (1, 2))
    assert differences(one, two) == ["selection seed 1 -> 2"]


def test_the_digest_of_a_score_file_is_in_the_key(tmp_path):
    keys = []
    for content in (b"scores", b"others"):
        (tmp_path / "ours.safetensors").write_bytes(content)
        (found,) = Selection.parse(f"file:{tmp_path / 'ours.safetensors'}")
        keys.append(selected(Pruning(40, found.method, scores=found.scores)))
    assert keys[0]["scores"] == hashlib.sha256(b"scores").hexdigest()
    (line,) = differences(*keys)
    assert line.startswith(f"scores {keys[0]['scores'][:30]}")


def test_an_own_calibration_text_is_in_the_key_of_the_calibrated_method_alone(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text("a b c")
    own = Settings(calibration=path)
    assert selected(Pruning(40), own) == selected(Pruning(40))
    hybrid = Pruning(40, Method.HYBRID)
    assert selected(hybrid, own)["calibration"] == f"own text, sha256 {hashlib.sha256(b'a b c').hexdigest()}"
    (line,) = differences(selected(hybrid), selected(hybrid, own))
    assert line.startswith("calibration generator, seed 7, 32 x 128 tokens -> own text")


def test_the_text_of_a_layer_scan_is_in_its_key():
    scan = Case(NANO, Pruning(10), STUDY.scan)
    assert key(scan)["text"] == "generator, seed 8"
    hub = Case(STUDY.models["llama1b"], Pruning(10), STUDY.scan)
    found = key(hub, ModelIdentity("x", "commit:y", None))
    text = (Path(glu_lib.models.__file__).parent / "texts/held_out.txt").read_bytes()
    assert found["text"] == f"held_out.txt, sha256 {hashlib.sha256(text).hexdigest()[:16]}"
