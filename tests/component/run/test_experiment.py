import dataclasses
import hashlib
import json
import shutil
from datetime import datetime
from pathlib import Path

import pytest

from glu_lib.analysis import consolidate, headline_tables
from glu_lib.errors import AccessError, MeasurementError, SettingsError, VerificationError
from glu_lib.nano import MODEL_DIR
from glu_lib.results.address import RecordId
from glu_lib.results.record import case_fields, read_record, sealed
from glu_lib.results.records import Samples, parse_record
from glu_lib.results.staleness import Status
from glu_lib.run.experiment import Experiment
from glu_lib.run.session import Session
from glu_lib.study import STUDY, Control, ModelVariant, PromptFormat, VariantKind
from glu_lib.study.cases import Case
from glu_lib.study.items import LimitFrom, SampleFile
from glu_lib.study.pruning import Pruning
from glu_lib.study.settings import Scorer, Weights

NANO = STUDY.models["nano"]
TEMPLATE = "{% for message in messages %}task : {{ message['content'] }} {% endfor %}"
FACTS = Case(NANO, Pruning(40), STUDY.tasks["facts"])


def run(experiment: Experiment, case: Case = FACTS):
    with experiment.levels.prepared(case.model, case.pruning) as prepared:
        return Session(experiment).measure(case, prepared).as_json()


def test_a_case_is_pending_then_done_then_stale(settings):
    experiment = Experiment(settings)
    assert experiment.states.of(FACTS).status is Status.PENDING
    record = run(experiment)
    assert Session(experiment).look_up(FACTS)
    assert read_record(experiment.states.of(FACTS).path).as_json() == json.loads(json.dumps(record))
    changed = Experiment(dataclasses.replace(settings, seed=settings.seed + 1))
    assert changed.states.of(FACTS).reason == "seed 1234 -> 1235"


def test_a_record_says_what_was_measured_on_what(settings):
    record = run(Experiment(settings))
    assert record["pruning"]["width"] == 308
    assert record["pruning"]["expansion_ratio"] == 308 / 128
    assert len(record["pruning"]["kept_neurons"]) == 64
    assert record["runtime"] == {
        "batch_size": 32,
        "threads": 1,
        "scorer": "fast",
        "attention": "glu_shared",
        "attention_choice": "equal, not timed",
    }
    assert record["timing"]["duration_s"] >= record["energy"]["window_s"] > 0
    assert record["environment"]["versions"]["optipfair"]
    assert record["samples"]["count"] == 4
    assert record["samples"]["file"] == "samples/nano/p40/nano-p40-facts-limit4.jsonl.gz"
    assert record["resumed"] is None


def test_rerun_makes_a_done_case_run_again(settings):
    run(Experiment(settings))
    assert not Session(Experiment(dataclasses.replace(settings, rerun=True))).look_up(FACTS)


def test_two_runs_give_the_same_scores_and_keep_the_same_neurons(settings, tmp_path):
    first = run(Experiment(settings))
    second = run(Experiment(dataclasses.replace(settings, results_dir=tmp_path / "other")))
    assert first["score"] == second["score"]
    assert first["pruning"]["kept_neurons"] == second["pruning"]["kept_neurons"]


def test_other_neurons_than_in_an_earlier_record_are_an_error(settings):
    experiment = Experiment(settings)
    record = run(experiment)
    record["pruning"]["kept_neurons"] = "0" * 64
    experiment.store.write(RecordId(FACTS, settings.limit), record)
    with pytest.raises(VerificationError, match="nano-p40: pruning kept other neurons than in .*--rerun"):
        run(Experiment(settings))
    run(Experiment(dataclasses.replace(settings, rerun=True)))


@pytest.mark.parametrize(
    ("field", "declared", "found"),
    [
        ("hidden_size", 256, 128),
        ("intermediate_size", 600, 512),
        ("num_layers", 5, 4),
        ("num_heads", 8, 4),
        ("num_kv_heads", 4, 2),
        ("head_dim", 16, 32),
        ("vocab_size", 600, 552),
        ("tied_embeddings", False, True),
    ],
)
def test_weights_that_are_not_the_declared_model_are_refused(settings, field, declared, found):
    shape = dataclasses.replace(NANO.architecture, **{field: declared})
    with pytest.raises(AccessError, match=f"the study declares {field} {declared}, the weights have {found}; correct"):
        run(Experiment(settings), dataclasses.replace(FACTS, model=dataclasses.replace(NANO, architecture=shape)))


def test_a_refused_measurement_records_nothing(settings, monkeypatch):
    def refuse(*_args):
        raise MeasurementError("incomplete")

    monkeypatch.setattr("glu_lib.measure.accuracy.score_case.check_evaluation", refuse)
    experiment = Experiment(settings)
    with pytest.raises(MeasurementError):
        run(experiment)
    assert experiment.states.of(FACTS).status is Status.PENDING
    assert not list(experiment.store.record_paths())


def test_a_model_that_cannot_be_had_is_asked_for_once(settings, monkeypatch):
    asked = []

    def refuse(variant):
        asked.append(variant.key)
        raise AccessError("gated")

    monkeypatch.setattr("glu_lib.run.identities.resolve_identity", refuse)
    experiment = Experiment(settings)
    for _ in range(3):
        with pytest.raises(AccessError, match="gated"):
            experiment.states.of(FACTS)
    assert asked == ["nano"]


def test_architecture_cases_need_no_weights(settings, monkeypatch):
    monkeypatch.setattr("glu_lib.run.identities.resolve_identity", None)
    case = Case(STUDY.models["llama1b"], Pruning(40), "architecture")
    experiment = Experiment(settings)
    assert Session(experiment).measure(case).pruning.parameters == 913770496
    assert Session(experiment).look_up(case)


def test_a_workload_counts_the_tokens_it_generated(settings):
    case = Case(NANO, Pruning(40), STUDY.workloads["facts_throughput_b8"])
    record = run(Experiment(settings), case)
    assert [repeat["seed"] for repeat in record["repeats"]] == [42, 123, 456]
    for repeat in record["repeats"]:
        assert repeat["new_tokens"] == repeat["passes"] * 4 * 50
        assert repeat["energy_per_token_j"] == repeat["energy"]["total_j"] / repeat["new_tokens"]
        assert repeat["tokens_per_s"] == repeat["new_tokens"] / repeat["energy"]["window_s"]
    assert record["profile"]["tokens_per_s"]["n"] == 3
    assert record["runtime"]["batch_size"] == 8


def test_a_models_memory_returns_when_its_block_ends(settings):
    import gc

    def models() -> int:
        gc.collect()
        return sum(type(found).__name__ == "LlamaForCausalLM" for found in gc.get_objects())

    before = models()
    with Experiment(settings).levels.prepared(NANO, Pruning(40)) as prepared:
        assert models() == before + 1
    assert models() == before
    assert not hasattr(prepared, "loaded")


@pytest.fixture
def chatty(tmp_path):
    """nano as an instruct variant with a chat template."""
    shutil.copytree(MODEL_DIR, tmp_path / "chatty")
    (tmp_path / "chatty" / "chat_template.jinja").write_text(TEMPLATE)
    return ModelVariant("chatty", str(tmp_path / "chatty"), VariantKind.INSTRUCT, (0,))


def chat_and_plain(variant):
    facts = STUDY.tasks["facts"]
    chat = dataclasses.replace(facts, key="facts_chat", prompt_format=PromptFormat.CHAT)
    return [Case(variant, Pruning(0), task) for task in (chat, facts)]


def test_the_chat_template_is_the_tasks_and_both_formats_lie_side_by_side(settings, chatty):
    experiment = Experiment(settings)
    chat, plain = (run(experiment, case) for case in chat_and_plain(chatty))
    assert chat["done_key"]["chat template"] == hashlib.sha256(TEMPLATE.encode()).hexdigest()
    assert chat["done_key"]["chat date"] == "2024-07-26"
    assert plain["done_key"]["chat template"] is None  # of an instruct variant, too
    assert "chat date" not in plain["done_key"]
    assert [record["case"]["prompt_format"] for record in (chat, plain)] == ["chat", "plain"]
    asked = [
        {sample["prompt_hash"] for sample in experiment.store.read_samples(Samples(**record["samples"]))}
        for record in (chat, plain)
    ]
    assert not asked[0] & asked[1]
    assert all(Session(experiment).look_up(case) for case in chat_and_plain(chatty))


def test_a_record_that_had_the_template_under_a_plain_name_is_stale_and_in_no_table(settings, chatty):
    """As early versions wrote them for every task of an instruct variant."""
    experiment = Experiment(settings)
    case = chat_and_plain(chatty)[1]
    record = run(experiment, case)
    del record["case"]["prompt_format"]
    record["done_key"]["chat template"] = "3f" * 32
    experiment.store.record_path(RecordId(case, settings.limit)).write_text(json.dumps(sealed(record)))
    assert experiment.states.of(case).reason.startswith("chat template 3f3f3f")
    found = consolidate(settings.results_dir)
    assert found.rows == ()
    (problem,) = found.problems
    assert "chatty-p0-facts: scored with the chat template, but the task's prompts are plain; run the case" in problem


def test_a_record_with_more_examples_than_were_used_is_stale(settings):
    """As early versions wrote them: lm-eval's ifeval always uses none, whatever was asked."""
    experiment = Experiment(settings)
    record = run(experiment)
    assert record["score"]["num_fewshot"] == 0
    task = dataclasses.replace(STUDY.tasks["ifeval"], num_fewshot=5)
    case = Case(NANO, Pruning(40), task)
    record["score"]["headline"]["label"] = task.metric.label
    del record["score"]["num_fewshot"]
    record |= {"done_key": json.loads(json.dumps(experiment.states.done_key(case))), "case": case_fields(case)}
    experiment.store.write(RecordId(case, settings.limit), record, [{"doc_id": 0}])
    assert experiment.states.of(case).reason == (
        "task ifeval: num_fewshot is 5, but lm-eval's ifeval always uses 0 examples; set num_fewshot = 0"
    )
    record["score"]["num_fewshot"] = 5  # a record that says what was used is believed
    experiment.store.write(RecordId(case, settings.limit), record, [{"doc_id": 0}])
    assert Session(experiment).look_up(case)


def test_a_record_with_another_headline_metric_is_stale(settings):
    experiment = Experiment(settings)
    run(experiment)
    for metric, reason in (
        (dataclasses.replace(FACTS.subject.metric, name="acc_norm"), "headline metric acc -> acc_norm"),
        (
            dataclasses.replace(FACTS.subject.metric, higher_is_better=False),
            "the headline metric's better side differs",
        ),
    ):
        case = dataclasses.replace(FACTS, subject=dataclasses.replace(FACTS.subject, metric=metric))
        assert experiment.states.of(case).reason == reason
    assert Session(experiment).look_up(FACTS)


def with_own_generation(variant, **settings):
    path = Path(variant.source) / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    return Case(variant, Pruning(0), STUDY.tasks["sums"])


@pytest.mark.parametrize("limits", [{"max_new_tokens": 2}, {"max_time": 0.001}, {"min_new_tokens": 8}])
def test_a_models_own_limits_of_answers_change_no_score(settings, chatty, limits):
    """lm-eval gives a limit of its own, behind which these come first."""
    case = with_own_generation(chatty, **limits)
    record = run(Experiment(settings), case)
    assert record["score"]["headline"]["value"] == 1.0
    assert record["score"]["generation_settings"] == {}


def test_what_a_models_own_generation_settings_change_is_said_below_the_table(settings, chatty):
    case = with_own_generation(chatty, repetition_penalty=1.3)
    record = run(Experiment(settings), case)
    assert record["score"]["generation_settings"] == {"repetition_penalty": "1.3"}
    (table,) = headline_tables(consolidate(settings.results_dir).rows)
    assert "answers decoded with the model's own generation settings: sums p0 (repetition_penalty 1.3)" in table.notes


def test_joules_beside_others_at_work_are_marked_below_the_table(settings):
    experiment = Experiment(settings)
    record = run(experiment)
    record["conditions"]["exclusive"] = False
    record["energy"]["total_j"] = 12.0
    experiment.store.write(RecordId(FACTS, settings.limit), record, [{"doc_id": 0}])
    (table,) = headline_tables(consolidate(settings.results_dir).rows)
    assert "joules and times measured beside other processes (--allow-shared): facts p40" in table.notes


def test_weights_that_change_while_a_run_goes_are_refused(settings, chatty):
    """A record would name the weights of before."""
    experiment = Experiment(settings)
    case = chat_and_plain(chatty)[1]
    run(experiment, case)
    config = Path(chatty.source) / "config.json"
    config.write_text(config.read_text() + " ")
    other = dataclasses.replace(case, pruning=Pruning(40))
    with pytest.raises(AccessError, match="changed during the run; start the run again, so that its"):
        run(experiment, other)
    assert run(Experiment(settings), other)["done_key"]["model version"] != experiment.identities.of(chatty).version


def test_lm_evals_own_files_say_how_and_on_what(settings, chatty):
    experiment = Experiment(settings)
    for case, template in zip(chat_and_plain(chatty), (TEMPLATE, None), strict=True):
        record = run(experiment, case)
        (path,) = experiment.store.lm_eval_folder(RecordId(case, settings.limit)).rglob("results_*.json")
        results = json.loads(path.read_text())
        assert results["chat_template"] == template
        assert results["fewshot_as_multiturn"] is (template is not None)
        started_at = datetime.fromisoformat(record["timing"]["started_at"]).timestamp()
        assert 0 <= results["date"] - started_at < 1  # the record's is cut to seconds
        versions = record["environment"]["versions"]
        assert results["transformers_version"] == versions["transformers"]
        assert results["lm_eval_version"] == versions["lm_eval"]
        assert f"torch {versions['torch']}" in results["pretty_env_info"]
        assert results["config"]["model_dtype"] == "torch.float32"
        assert results["config"]["model_revision"] == "main"
        assert results["config"]["model_sha"] == record["done_key"]["model version"]
        assert results["config"]["model_num_parameters"] == record["pruning"]["parameters"]
        assert results["config"]["limit"] == settings.limit
        assert results["config"]["fewshot_seed"] == settings.seed
        assert results["tokenizer_eos_token"][0]


def test_random_weights_measure_workloads_apart_from_real_ones(settings):
    random = dataclasses.replace(settings, weights=Weights.RANDOM)
    case = Case(NANO, Pruning(40), STUDY.workloads["facts_throughput_b8"])
    experiment = Experiment(random)
    record = run(experiment, case)
    assert record["weights"] == "random"
    assert record["pruning"]["width"] == 308
    assert record["done_key"]["model version"].startswith("random:")
    path = experiment.states.of(case).path
    assert path.is_relative_to(settings.results_dir / "random_weights")
    assert Experiment(settings).states.of(case).status is Status.PENDING
    assert (settings.results_dir / "random_weights/codecarbon/emissions.csv").is_file()
    assert not (settings.results_dir / "codecarbon").exists()


def test_random_weights_have_no_accuracy(settings):
    experiment = Experiment(dataclasses.replace(settings, weights=Weights.RANDOM))
    with pytest.raises(SettingsError, match="nano-p40-facts: random weights have no accuracy; with --weights random"):
        run(experiment, Case(NANO, Pruning(40), STUDY.tasks["facts"]))


def test_random_weights_need_a_declared_shape(settings):
    variant = ModelVariant("mine", "some/model", VariantKind.BASE, (0,))
    experiment = Experiment(dataclasses.replace(settings, weights=Weights.RANDOM))
    with pytest.raises(AccessError, match="model mine: --weights random needs a shape, and the study declares none"):
        experiment.identities.of(variant)


def test_the_energies_of_records_are_validated(settings):
    experiment = Experiment(settings)
    case = Case(NANO, Pruning(40), STUDY.tasks["facts"])
    record = run(experiment, case)
    assert parse_record(record).doubts() == []
    record["energy"]["total_j"] /= 2.86
    (line,) = parse_record(record).doubts()
    assert line.startswith("nano-p40-facts: its parts add up to ")
    workload = run(experiment, Case(NANO, Pruning(40), STUDY.workloads["facts_throughput_b8"]))
    assert parse_record(workload).doubts() == []
    workload["repeats"][0]["new_tokens"] += 8
    assert any("were requested" in line for line in parse_record(workload).doubts())


@pytest.mark.parametrize("scorer", list(Scorer))
def test_texts_with_words_that_the_tokenizer_does_not_know_are_counted(settings, chatty, scorer):
    """What it does not know becomes one token, which a model may predict well: a perplexity of it is no text's."""
    experiment = Experiment(dataclasses.replace(settings, scorer=scorer))
    case = Case(chatty, Pruning(0), STUDY.tasks["narrative"])
    assert run(experiment, case)["score"]["unknown_requests"] == 0
    path = Path(chatty.source) / "tokenizer.json"
    content = json.loads(path.read_text())
    vocabulary = content["model"]["vocab"]
    vocabulary["nowhere"] = vocabulary.pop("the")
    path.write_text(json.dumps(content))
    record = run(Experiment(dataclasses.replace(settings, scorer=scorer)), case)
    assert record["score"]["unknown_requests"] == settings.limit
    (table,) = headline_tables(consolidate(settings.results_dir).rows)
    assert any("(UNK), which a model may well predict: narrative p0 4" in note for note in table.notes)


@pytest.mark.parametrize("control", Control)
def test_a_control_goes_through_the_same_pipeline_and_is_found_done(settings, control):
    case = Case(NANO, Pruning.of(control), STUDY.tasks["facts"])
    experiment = Experiment(settings)
    assert experiment.states.of(case).status is Status.PENDING
    record = run(experiment, case)
    assert Session(Experiment(settings)).look_up(case)
    assert record["case"]["control"] == record["done_key"]["control"] == record["case"]["level"] == control
    assert record["samples"]["file"] == f"samples/nano/{control}/nano-{control}-facts-limit4.jsonl.gz"
    (path,) = (settings.results_dir / "lm_eval").rglob("results_*.json")
    assert f",control={control}" in json.loads(path.read_text())["config"]["model_args"]
    run(experiment, Case(NANO, Pruning(0), case.subject))
    rows = consolidate(settings.results_dir).rows
    (found,) = (row for row in rows if row["control"] and row["is_headline"])
    assert (found["control"], found["percent"], found["baseline"]) == (control.label, None, None)
    assert found["weights"] == ("random" if control is Control.UNTRAINED else "real")
    (table,) = headline_tables(rows)
    assert [percent for percent, _ in table.levels] == [0]
    assert [(name, ratio) for name, ratio, _ in table.control_lines] == [
        (control.label, 4.0 if control is Control.UNTRAINED else 0.0)
    ]


def test_the_items_of_a_file_are_scored_and_no_others(settings, tmp_path):
    """The scores of the items are those that a full run gives them, and the records lie side by side."""
    path = tmp_path / "few.json"
    path.write_text(json.dumps({"facts": [7, 3, 400]}))
    few = dataclasses.replace(settings, limit=None, samples=SampleFile.read(path, STUDY.tasks))
    whole = dataclasses.replace(settings, limit=None)
    records = [run(Experiment(found)) for found in (few, whole)]
    folder = settings.results_dir / "individual_files/nano/p40"
    assert {path.name for path in folder.iterdir()} == {"nano-p40-facts-samples_few.json", "nano-p40-facts.json"}
    key = records[0]["done_key"]
    assert (key["limit"], key["items"].split(" ")[0]) == (3, "samples_few")
    store = Experiment(few).store
    scored = [
        {sample["doc_id"]: sample["acc"] for sample in store.read_samples(Samples.model_validate(record["samples"]))}
        for record in records
    ]
    assert sorted(scored[0]) == [3, 7, 400]
    assert scored[0] == {index: scored[1][index] for index in scored[0]}
    assert records[0]["score"]["headline"]["value"] == pytest.approx(sum(scored[0].values()) / 3, abs=1e-12)
    tables = headline_tables(consolidate(settings.results_dir).rows)
    assert [table.title for table in tables] == ["nano, only the samples of few.json", "nano"]
    path.write_text(json.dumps({"facts": [7, 3, 401]}))
    other = dataclasses.replace(few, samples=SampleFile.read(path, STUDY.tasks))
    assert "items samples_few" in Experiment(other).states.of(FACTS).reason


def test_a_spread_limit_takes_items_of_the_whole_data_set(settings):
    spread_out = dataclasses.replace(settings, limit=4, limit_from=LimitFrom.SPREAD)
    record = run(Experiment(spread_out))
    samples = Experiment(spread_out).store.read_samples(Samples.model_validate(record["samples"]))
    assert sorted({sample["doc_id"] for sample in samples}) == [0, 125, 250, 375]
    assert (record["done_key"]["limit"], record["done_key"]["items"]) == (4, "spread")
    run(Experiment(dataclasses.replace(settings, limit=4)))
    tables = headline_tables(consolidate(settings.results_dir).rows)
    assert [table.title for table in tables] == [
        "nano, only 4 samples per task",
        "nano, only 4 samples per task, spread over the data set",
    ]


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"nano_facts": [500]}, "task facts: --samples names item 500 of 'nano_facts', which has 500 items, 0 to 499"),
        ({"nano_facts_hard": [0]}, "task facts: --samples names 'nano_facts_hard', which is none of its subtasks"),
    ],
)
def test_an_item_that_does_not_exist_is_one_line(settings, tmp_path, chosen, message):
    path = tmp_path / "few.json"
    path.write_text(json.dumps(chosen))
    few = dataclasses.replace(settings, limit=None, samples=SampleFile.read(path, STUDY.tasks))
    with pytest.raises(MeasurementError, match=f"^{message}"):
        run(Experiment(few))
    assert not list(settings.results_dir.glob("individual_files/*/*/*.json"))
