import hashlib
import importlib.util
import json
from pathlib import Path

import jsonschema
import pytest
from exported_formats import EVERY_EVAL_EVER, EVERY_EVAL_EVER_ITEM
from made_records import made_record

from glu_lib.report.formats.eval_results import evaluation_results
from glu_lib.report.formats.every_eval_ever import SCHEMA_VERSION, export_evaluations
from glu_lib.report.formats.scored_case import ScoredCase
from glu_lib.results.record import read_record
from glu_lib.results.store import Store

NANO = Path(__file__).resolve().parents[3] / "results/measured/nano"
NAMES = [
    f"individual_files/nano/{level}/nano-{level}-{task}.json"
    for level in ("p0", "p40")
    for task in ("facts", "sums", "narrative")
]
HUB = {"done_key": {"model": "org/base", "model version": "commit:0"}}


def committed():
    return [ScoredCase(read_record(NANO / name), name) for name in NAMES]


def published_schema(name):
    """The schema as the package every-eval-ever ships it; None where that is not installed."""
    package = importlib.util.find_spec("every_eval_ever")
    if package is None:
        return None
    (place,) = package.submodule_search_locations
    return json.loads((Path(place) / "schemas" / name).read_text(encoding="utf-8"))


def check(found, items):
    """Check a file and its items against the restated schemas, and against the published ones if they are here."""
    for schema, published, values in (
        (EVERY_EVAL_EVER, "eval.schema.json", [found]),
        (EVERY_EVAL_EVER_ITEM, "instance_level_eval.schema.json", items),
    ):
        theirs = published_schema(published)
        assert theirs is None or theirs["version"].endswith(SCHEMA_VERSION)
        for value in values:
            jsonschema.validate(value, schema)
            if theirs is not None:
                jsonschema.validate(value, theirs)


def with_lm_eval_files(root, case):
    """A results folder with one case, and lm-eval's files of it, made from its samples."""
    store, samples = Store(root), Store(NANO).read_samples(case.record.samples)
    path = store.samples_of(case.name)
    path.parent.mkdir(parents=True)
    path.write_bytes(Store(NANO).samples_of(case.name).read_bytes())
    folder = store.lm_eval_of(case.name) / "model"
    folder.mkdir(parents=True)
    config = {"dataset_path": "org/facts", "dataset_name": None, "test_split": "test", "output_type": "multiple_choice"}
    results = {"configs": {"nano_facts": config}, "higher_is_better": {"nano_facts": {"acc": True}}}
    (folder / "results_2026-01-01T00-00-00.json").write_text(json.dumps(results))
    lines = []
    for sample in samples:
        arguments = {
            f"gen_args_{place}": {"arg_0": f"question {sample['doc_id']}", "arg_1": f" option {place}"}
            for place in range(len(sample["answers"]))
        }
        lines.append(json.dumps({**sample, "arguments": arguments, "resps": []}))
    (folder / "samples_nano_facts_2026-01-01T00-00-00.jsonl").write_text("".join(f"{line}\n" for line in lines))
    return store


def test_each_level_is_one_file_with_every_value_of_its_cases(tmp_path):
    paths, problems, without = export_evaluations(Store(NANO), committed(), tmp_path)
    assert problems == []
    assert len(without) == len(NAMES)
    assert len(paths) == 2
    unpruned, pruned = (json.loads(path.read_text()) for path in paths)
    check(unpruned, [])
    check(pruned, [])
    assert [path.parent.relative_to(tmp_path).as_posix() for path in paths] == [
        "data/glu-width-pruning/glu-width-bench/nano",
        "data/glu-width-pruning/glu-width-bench/nano-p40",
    ]
    values = [value for case in committed()[3:] for value in case.record.score.metrics]
    assert [found["score_details"]["score"] for found in pruned["evaluation_results"]] == [v.value for v in values]
    uncertainty = pruned["evaluation_results"][0]["score_details"]["uncertainty"]
    assert uncertainty["standard_error"]["value"] == values[0].stderr
    assert uncertainty["num_samples"] == values[0].count
    assert uncertainty["confidence_interval"]["upper"] == pytest.approx(values[0].value + 1.959964 * values[0].stderr)
    directions = {
        found["metric_config"]["metric_name"]: found["metric_config"] for found in pruned["evaluation_results"]
    }
    assert directions["acc"]["lower_is_better"] is False
    assert (directions["acc"]["metric_id"], directions["acc"]["max_score"]) == ("accuracy", 1)
    assert directions["word_perplexity"]["lower_is_better"] is True
    assert (directions["word_perplexity"]["min_score"], directions["word_perplexity"]["max_score"]) == (1, "Infinity")
    details = pruned["model_info"]["additional_details"]
    assert (details["expansion_ratio"], details["pruning_method"]) == ("2.40625", "PPM")
    assert all("detailed_evaluation_results" not in found for found in (unpruned, pruned))


def test_an_export_again_replaces_its_files(tmp_path):
    first = export_evaluations(Store(NANO), committed(), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert export_evaluations(Store(NANO), reversed(committed()), tmp_path)[0] == first[0][::-1]
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("changes", "organization", "relationship"),
    [(HUB, None, "other"), (HUB, "Org", "first_party"), (HUB, "me", "third_party"), ({}, "me", "other")],
)
def test_who_evaluated_whose_model(tmp_path, changes, organization, relationship):
    case = ScoredCase(made_record(changes), NAMES[3])
    (path,), _, _ = export_evaluations(Store(tmp_path), [case], tmp_path, organization)
    source = json.loads(path.read_text())["source_metadata"]
    assert source["evaluator_relationship"] == relationship
    assert source["source_organization_name"] == (organization or "unknown")


def test_a_pruned_model_of_the_hub_is_named_after_its_level(tmp_path):
    (path,), _, _ = export_evaluations(Store(tmp_path), [ScoredCase(made_record(HUB), NAMES[3])], tmp_path)
    model = json.loads(path.read_text())["model_info"]
    assert (model["id"], model["additional_details"]["unpruned_model"]) == ("org/base-p40", "org/base")


def test_items_carry_prompt_options_choice_and_score(tmp_path):
    case = committed()[3]
    store = with_lm_eval_files(tmp_path / "results", case)
    (path,), problems, without = export_evaluations(store, [case], tmp_path / "out")
    assert (problems, without) == ([], [])
    found = json.loads(path.read_text())
    named = found["detailed_evaluation_results"]
    data = (tmp_path / "out" / named["file_path"]).read_bytes()
    items = [json.loads(line) for line in data.splitlines()]
    check(found, items)
    assert named["checksum"] == hashlib.sha256(data).hexdigest()
    assert named["total_rows"] == len(items) == case.record.score.headline.count
    (result,) = found["evaluation_results"]
    assert {item["evaluation_result_id"] for item in items} == {result["evaluation_result_id"]}
    assert {item["evaluation_id"] for item in items} == {found["evaluation_id"]}
    assert sum(item["evaluation"]["is_correct"] for item in items) / len(items) == case.record.score.headline.value
    # The option that is said to be chosen is the right one where the metric says so, and only there.
    for item in items:
        assert (item["output"]["raw"] == item["input"]["reference"]) == item["evaluation"]["is_correct"]
    assert result["source_data"]["hf_repo"] == "org/facts"


def test_a_case_whose_files_are_of_other_items_has_none(tmp_path):
    case = committed()[3]
    store = with_lm_eval_files(tmp_path / "results", case)
    (path,) = store.root.glob("lm_eval/**/samples_*.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(line | {"prompt_hash": "other"}) + "\n" for line in lines))
    _, _, (line,) = export_evaluations(store, [case], tmp_path / "out")
    assert line == (
        "nano-p40-facts: lm-eval's own files (folder lm_eval) with its prompts are not there or are of other items"
    )
    path.write_text("".join(json.dumps(line) + "\n" for line in lines[:7]))
    _, _, (line,) = export_evaluations(store, [case], tmp_path / "out")
    assert line == "nano-p40-facts: lm-eval's own files hold 7 of its 500 items"


def test_a_value_that_the_format_cannot_hold_is_named():
    value = {"task": "t", "metric": "strange", "filter": "none", "value": 3.0, "count": 2, "stderr": None}
    collapsed = {**value, "metric": "word_perplexity", "value": None, "is_collapsed": True, "log_value": 200.0}
    headline = {"task": "t", "metric": "acc", "value": 0.5}
    record = made_record({"score": {"headline": headline, "metrics": [headline, value, collapsed]}})
    fine, unknown, infinite = evaluation_results(record, {})
    assert fine["score_details"]["score"] == 0.5
    assert "t strange has no known better side" in unknown
    assert "t word_perplexity has no finite value" in infinite
    _, known, _ = evaluation_results(record, {"higher_is_better": {"t": {"strange": False}}})
    assert known["metric_config"]["lower_is_better"] is True


@pytest.mark.parametrize("name", ["..", "a/b", "x\x00"])
def test_no_file_leaves_the_folder(tmp_path, name):
    record = made_record({})
    hostile = record.model_copy(update={"case": record.case.model_copy(update={"model": name})})
    paths, (problem,), _ = export_evaluations(Store(tmp_path), [ScoredCase(hostile, NAMES[3])], tmp_path / "out")
    assert paths == []
    assert "is not a name for a file" in problem
    assert not (tmp_path / "out").exists()
