"""A checkpoint with a baseline, from `glu save` to its records: equal scores, and what is refused when it is read."""

import json
import shutil

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaMLP

from glu_lib.analysis import conclude
from glu_lib.errors import AccessError
from glu_lib.frontends.cli.entry import main
from glu_lib.nano import MODEL_DIR
from glu_lib.results.staleness import Status, differences
from glu_lib.run.experiment import Experiment
from glu_lib.run.session import Session
from glu_lib.run.validation import validate
from glu_lib.study import STUDY, load_study
from glu_lib.study.cases import Case, build_cases
from glu_lib.study.pruning import Pruning
from glu_lib.study.settings import Settings

TASKS = ("facts", "sums", "narrative", "lastword")  # choice, generation, perplexity, last word


@pytest.fixture(scope="module")
def pruned(tmp_path_factory):
    """nano at p40, as `glu save` saves it."""
    folder = tmp_path_factory.mktemp("saved") / "p40"
    assert main(["save", "--model", "nano", "--percent", "40", "--folder", str(folder)]) == 0
    return folder


@pytest.fixture
def folder(pruned, tmp_path):
    """A copy of it, to be changed."""
    return shutil.copytree(pruned, tmp_path / "checkpoint")


@pytest.fixture
def experiment_of(tmp_path):
    """An experiment of a study file with the checkpoint `recovered` of a folder."""

    def make(folder, lines='baseline = "nano"\nlevel = 40\n'):
        path = tmp_path / "study.toml"
        path.write_text(f"[models.recovered]\nsource = {json.dumps(str(folder))}\n{lines}")
        settings = Settings(tmp_path / "results", limit=40, threads=1, batch_size=8, allow_shared=True)
        return Experiment(settings, load_study(path, STUDY).study)

    return make


def score(experiment, model, percent, tasks=TASKS):
    """The records and samples of a model's tasks, by task."""
    variant, pruning, found = experiment.study.models[model], Pruning(percent), {}
    with experiment.levels.prepared(variant, pruning) as prepared:
        for task in tasks:
            record = Session(experiment).measure(Case(variant, pruning, STUDY.tasks[task]), prepared)
            found[task] = record, experiment.store.read_samples(record.samples)
    return found


def test_saved_and_read_again_it_scores_as_the_level_item_by_item(pruned, experiment_of):
    experiment = experiment_of(pruned)
    level, saved = score(experiment, "nano", 40), score(experiment, "recovered", 0)
    for task in TASKS:
        (record, samples), (mine, own) = level[task], saved[task]
        assert own == samples, task
        assert mine.score.metrics == record.score.metrics
        changed = {line.split(" ")[0] for line in differences(record.done_key.as_json(), mine.done_key.as_json())}
        # Another source and version of the weights, and no pruning here; all that was asked of them is the same.
        assert changed == {"model", "percent", "method", "divisor", "optipfair"}
        assert (mine.case.baseline, mine.case.baseline_level) == ("nano", "p40")
        assert mine.pruning.widths == record.pruning.widths
        assert mine.pruning.parameters == record.pruning.parameters
    score(experiment, "nano", 0)
    for item in conclude(experiment.store.root).recovered:
        if item.level == "p40":
            assert (item.beside.delta, item.beside.p) == (0, 1)
            assert item.share in (0, None)


def test_a_copy_of_the_baseline_equals_its_p0_and_has_no_level(experiment_of):
    experiment = experiment_of(MODEL_DIR, 'baseline = "nano"\n')
    score(experiment, "nano", 0, ["facts"])
    score(experiment, "recovered", 0, ["facts"])
    found = conclude(experiment.store.root)
    assert [(item.level, item.beside.delta, item.beside.p) for item in found.recovered] == [("p0", 0, 1)]
    assert found.not_beside == ()  # as wide as p0: there is no pruned level of these widths


def test_another_baseline_makes_its_cases_stale_and_no_others(pruned, experiment_of):
    experiment = experiment_of(pruned)
    score(experiment, "recovered", 0, ["facts"])
    score(experiment, "nano", 40, ["facts"])
    changed = experiment_of(pruned, 'baseline = "nano"\n')
    states = {
        case.id: changed.states.of(case)
        for case in build_cases(changed.study)
        if case.id in ("recovered-p0-facts", "nano-p40-facts")
    }
    assert states["nano-p40-facts"].status is Status.DONE
    assert states["recovered-p0-facts"].status is Status.STALE
    assert states["recovered-p0-facts"].reason == "baseline nano p40 -> nano"


def refusal(experiment):
    """The line of a run, which is that of `validate`."""
    with (
        pytest.raises(AccessError) as caught,
        experiment.levels.prepared(experiment.study.models["recovered"], Pruning(0)),
    ):
        pass
    found = [line.text for line in validate(experiment, [experiment.study.models["recovered"]]) if not line.is_fine]
    assert found == [str(caught.value)]
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_validate_says_what_it_is_compared_with(pruned, experiment_of):
    experiment = experiment_of(pruned)
    lines = [line.text for line in validate(experiment, [experiment.study.models["recovered"]]) if line.is_fine]
    assert "compared with its baseline: nano p40; same tokenizer" in lines


def test_another_tokenizer_is_refused(folder, experiment_of):
    path = folder / "tokenizer.json"
    text = path.read_text()
    vocabulary = json.loads(text)["model"]["vocab"]
    first, second = sorted(vocabulary, key=vocabulary.get)[100:102]
    found = json.loads(text)
    found["model"]["vocab"] |= {first: vocabulary[second], second: vocabulary[first]}
    path.write_text(json.dumps(found))
    assert refusal(experiment_of(folder)) == (
        "model recovered: its tokenizer is not that of its baseline nano (2 tokens differ, the first is "
        f"{min(first, second)!r}); save the checkpoint with the baseline's tokenizer, or leave baseline out to score "
        "it alone"
    )


def test_tokens_that_stand_for_other_texts_are_refused(folder, experiment_of):
    path = folder / "tokenizer.json"
    found = json.loads(path.read_text())
    found["normalizer"] = {"type": "Replace", "pattern": {"String": "the"}, "content": "a"}
    path.write_text(json.dumps(found))
    assert "its tokenizer is not that of its baseline nano (a text gets other tokens)" in refusal(experiment_of(folder))


def test_an_added_token_is_allowed(folder, experiment_of):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<filler>"]})
    tokenizer.save_pretrained(folder)
    experiment = experiment_of(folder)
    with experiment.levels.prepared(experiment.study.models["recovered"], Pruning(0)) as prepared:
        assert prepared.pruning.width == 308


def test_a_baseline_that_cannot_be_read_is_named(pruned, experiment_of):
    lines = 'baseline = "original"\n[models.original]\nsource = "no/such folder"\nkind = "base"\n'
    said = refusal(experiment_of(pruned, lines))
    assert said.startswith(
        "model recovered: its baseline cannot be checked: model original: source 'no/such folder' is neither"
    )


class UnlikeConfig(LlamaConfig):
    model_type = "llama_of_unlike_widths"


class UnlikeForCausalLM(LlamaForCausalLM):
    """A Llama whose layers have widths of their own, as other tools save it."""

    config_class = UnlikeConfig

    def __init__(self, config):
        super().__init__(LlamaConfig(**{name: value for name, value in config.to_dict().items() if name in _SIZES}))
        self.config = self.model.config = config
        for index, layer in enumerate(self.model.layers):
            layer.mlp = LlamaMLP(config.per_layer_config[index] if config.is_heterogeneous else config)
        self.post_init()


_SIZES = {
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "vocab_size",
    "max_position_embeddings",
    "tie_word_embeddings",
    "rms_norm_eps",
    "rope_parameters",
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
}


@pytest.fixture
def unlike(tmp_path):
    """A checkpoint of nano's shape with 100, 308, 308 and 512 neurons in its layers, and random weights."""
    AutoConfig.register(UnlikeConfig.model_type, UnlikeConfig, exist_ok=True)
    AutoModelForCausalLM.register(UnlikeConfig, UnlikeForCausalLM, exist_ok=True)
    nano = json.loads((MODEL_DIR / "config.json").read_text())
    widths = {str(layer): {"intermediate_size": width} for layer, width in enumerate((100, 308, 308, 512))}
    torch.manual_seed(0)
    config = UnlikeConfig(**{name: nano[name] for name in _SIZES if name in nano}, per_layer_config=widths)
    UnlikeForCausalLM(config).save_pretrained(tmp_path / "unlike")
    AutoTokenizer.from_pretrained(MODEL_DIR).save_pretrained(tmp_path / "unlike")
    return tmp_path / "unlike"


def test_a_checkpoint_with_unlike_widths_is_scored_as_it_is(unlike, experiment_of):
    experiment = experiment_of(unlike, 'baseline = "nano"\n')
    (record, _) = score(experiment, "recovered", 0, ["facts"])["facts"]
    assert record.pruning.widths == [100, 308, 308, 512]
    assert record.pruning.expansion_ratio == pytest.approx(sum([100, 308, 308, 512]) / 4 / 128)
    score(experiment, "nano", 0, ["facts"])
    score(experiment, "nano", 40, ["facts"])
    assert [item.level for item in conclude(experiment.store.root).recovered] == ["p0"]
    assert refusal(experiment_of(unlike)) == (
        "model 'recovered': level p40 of its baseline 'nano' has 308 neurons per MLP in 4 layers at hidden size 128, "
        "the checkpoint has 100 to 512 neurons per MLP in 4 layers at hidden size 128; correct level, or leave it out "
        "to compare by its own width"
    )


def test_without_a_baseline_unlike_widths_are_refused_as_ever(unlike, experiment_of):
    assert "all layers must have the same width" in refusal(experiment_of(unlike, 'kind = "base"\nsuites = ["core"]\n'))


def test_save_refuses_a_folder_that_is_not_empty(pruned, capsys):
    before = sorted(pruned.iterdir())
    assert main(["save", "--model", "nano", "--percent", "40", "--folder", str(pruned)]) == 2
    assert capsys.readouterr().err == f"--folder {pruned}: is there already, and not empty; name a new folder\n"
    assert sorted(pruned.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (["--percent", "40"], 'baseline = "nano"\nlevel = 40\n'),
        (["--level", "2.4x"], 'baseline = "nano"\nlevel = "2.4x"\n'),
        (["--percent", "40", "--layers", "0-"], 'baseline = "nano"\n'),
    ],
)
def test_save_prints_a_table_for_a_study_file(tmp_path, capsys, arguments, lines):
    folder = tmp_path / "new" / "p40"
    assert main(["save", "--model", "nano", "--folder", str(folder), *arguments]) == 0
    text = capsys.readouterr().out
    assert text == f"{folder}\n[models.recovered]\nsource = {json.dumps(str(folder))}\n{lines}"
    path = tmp_path / "study.toml"
    path.write_text(text.partition("\n")[2])
    assert load_study(path, STUDY).study.models["recovered"].baseline == "nano"


def test_save_of_a_checkpoint_names_its_baseline(pruned, tmp_path, capsys):
    study = tmp_path / "study.toml"
    study.write_text(f'[models.recovered]\nsource = "{pruned}"\nbaseline = "nano"\n')
    words = ["save", "--study", str(study), "--model", "recovered", "--percent", "0", "--folder", str(tmp_path / "new")]
    assert main(words) == 0
    assert capsys.readouterr().out.endswith('baseline = "nano"\n')
