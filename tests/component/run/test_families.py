"""Families of models from a saved folder to records at two levels, or refused in one line; the docs' table is this."""

import dataclasses
import re
from pathlib import Path

import pytest
import torch
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    Gemma3ForCausalLM,
    Gemma3ForConditionalGeneration,
    Phi3Config,
    Phi3ForCausalLM,
    Qwen2Tokenizer,
    Qwen3_5ForConditionalGeneration,
)

from glu_lib.errors import AccessError
from glu_lib.frontends.cli.entry import main
from glu_lib.nano import MODEL_DIR
from glu_lib.results.record import read_record
from glu_lib.run.experiment import Experiment
from glu_lib.run.session import Session
from glu_lib.run.validation import validate
from glu_lib.study import STUDY, ModelVariant, Suite, VariantKind
from glu_lib.study.cases import Case
from glu_lib.study.pruning import Pruning

PAGE = Path(__file__).resolve().parents[3] / "docs/guides/own-study.md"
WIDTH, KEPT = 80, 48  # neurons per layer, at p0 and p40
SIZE = {
    "vocab_size": 552,  # of the embedded model's tokenizer
    "hidden_size": 32,
    "intermediate_size": WIDTH,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": None,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
WINDOW = {"head_dim": 8, "sliding_window": 64}
LINEAR = {
    "layer_types": ["linear_attention", "linear_attention", "full_attention"],
    "head_dim": 8,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "decoder_sparse_step": 1}
SIGHT = {"hidden_size": 16, "intermediate_size": 32}
TEXT_ONLY = {
    "llama": {},
    "smollm3": {},
    "qwen2": {},
    "qwen3": {"head_dim": 8},
    "qwen3_5_text": LINEAR,
    "mistral": {},
    "gemma": {"head_dim": 8},
    "gemma2": WINDOW,
    "gemma3_text": WINDOW,
    "olmo2": {},
    "phi3": {"num_key_value_heads": 4},
    "phi": {},
    "gpt_neox": {},
    "mixtral": {"num_local_experts": 4},
    "qwen2_moe": EXPERTS | {"shared_expert_intermediate_size": 16},
    "qwen3_moe": EXPERTS,
}
NO_GLU = "this kind of width pruning does not apply; choose a Llama-style model"
FIRST = "cannot be pruned: layer 0 (counting from 0)"
REFUSED = {
    "phi3": f"model type phi3 (Phi3ForCausalLM) {FIRST} has its gate and up projections in one matrix (gate_up_proj of "
    "Phi3MLP); choose a checkpoint that holds them apart, such as one converted to model type llama",
    "mixtral": f"model type mixtral (MixtralForCausalLM) {FIRST} is a mixture of experts (MixtralSparseMoeBlock: gate, "
    "experts), not one MLP; choose a dense model",
    "qwen2_moe": f"model type qwen2_moe (Qwen2MoeForCausalLM) {FIRST} is a mixture of experts (Qwen2MoeSparseMoeBlock: "
    "gate, experts, shared_expert, shared_expert_gate), not one MLP; choose a dense model",
    "qwen3_moe": f"model type qwen3_moe (Qwen3MoeForCausalLM) {FIRST} is a mixture of experts (Qwen3MoeSparseMoeBlock: "
    "experts, gate), not one MLP; choose a dense model",
    "gemma3": "model type gemma3 (Gemma3ForConditionalGeneration) cannot be pruned: its decoder layers lie inside a "
    "multimodal model; save its language model alone, as model type gemma3_text",
    "phi": f"model type phi (PhiForCausalLM) {FIRST} has no gate_proj, up_proj, down_proj (PhiMLP; it has fc1, fc2); "
    f"{NO_GLU}",
    "gpt_neox": "model type gpt_neox (GPTNeoXForCausalLM) cannot be pruned: no decoder layers are found in it; "
    f"{NO_GLU}",
}


def rows():
    """Rows of the docs' table of families: model types, 'pruned' or 'refused', and how they are scored."""
    section = PAGE.read_text(encoding="utf-8").split("### Families", 1)[1].split("\n## ", 1)[0]
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    return [(re.findall(r"`(\w+)`", types), status, scored) for _family, types, status, scored in found[2:]]


PRUNED = {name: scored for types, status, scored in rows() if status == "pruned" for name in types}
ATTENTION = {"shared prefixes": "glu_shared", "as lm-eval does": "plain"}


def build(model_type):
    torch.manual_seed(0)
    if model_type == "qwen3_5":  # as it is published: text and images
        sight = SIGHT | {"depth": 1, "num_heads": 2, "out_hidden_size": 32, "num_position_embeddings": 16}
        config = AutoConfig.for_model("qwen3_5", text_config=SIZE | LINEAR, vision_config=sight)
        return Qwen3_5ForConditionalGeneration(config)
    if model_type == "gemma3":
        sight = SIGHT | {"num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 28, "patch_size": 14}
        config = AutoConfig.for_model("gemma3", text_config=SIZE | WINDOW, vision_config=sight, mm_tokens_per_image=4)
        return Gemma3ForConditionalGeneration(config)
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **SIZE | TEXT_ONLY[model_type]))


def save(model, folder):
    """The model with a tokenizer that its family loads; Qwen's reads bytes, whatever the file says."""
    model.save_pretrained(folder)
    if model.config.model_type.startswith("qwen"):
        words = ["<|endoftext|>", *sorted(ByteLevel.alphabet())]
        Qwen2Tokenizer(vocab={word: index for index, word in enumerate(words)}, merges=[]).save_pretrained(folder)
    else:
        AutoTokenizer.from_pretrained(MODEL_DIR).save_pretrained(folder)
    return ModelVariant("mine", str(folder), VariantKind.BASE, (0, 40))


def experiment_of(variant, settings):
    suites = dict(STUDY.suites) | {"own": Suite("own", "", models=("mine",), tasks=("facts",))}
    return Experiment(settings, dataclasses.replace(STUDY, models={"mine": variant}, suites={"own": suites["own"]}))


def record_of(experiment, variant, percent):
    """The record of a case, read from the disk."""
    case = Case(variant, Pruning(percent), STUDY.tasks["facts"])
    with experiment.levels.prepared(variant, case.pruning) as prepared:
        Session(experiment).measure(case, prepared)
    return read_record(experiment.states.of(case).path).as_json()


def runs(variant, settings):
    """The records at p0 and p40 of a model that `validate` approves."""
    experiment = experiment_of(variant, settings)
    found = list(validate(experiment, [experiment.study.models["mine"]]))
    assert [finding.text for finding in found if not finding.is_fine] == []
    assert "1 looked up in lm-eval" in [finding.text for finding in found]
    unpruned, pruned = (record_of(experiment, variant, percent) for percent in (0, 40))
    assert [set(record["pruning"]["widths"]) for record in (unpruned, pruned)] == [{WIDTH}, {KEPT}]
    removed = 3 * (WIDTH - KEPT) * SIZE["hidden_size"] * SIZE["num_hidden_layers"]
    assert unpruned["pruning"]["parameters"] - pruned["pruning"]["parameters"] == removed
    assert all(0 <= record["score"]["headline"]["value"] <= 1 for record in (unpruned, pruned))
    assert all(record["samples"]["count"] == settings.limit for record in (unpruned, pruned))
    return unpruned, pruned


def test_each_family_of_the_docs_is_tested():
    refused = {name for types, status, _scored in rows() if status == "refused" for name in types}
    assert refused == set(REFUSED)
    assert set(PRUNED) | refused == {*TEXT_ONLY, "qwen3_5", "gemma3"}


@pytest.mark.parametrize("model_type", PRUNED)
def test_a_family_goes_from_a_folder_to_records(tmp_path, settings, model_type):
    for record in runs(save(build(model_type), tmp_path / "model"), settings):
        assert record["runtime"]["attention"] == ATTENTION[PRUNED[model_type]]


@pytest.mark.parametrize("model_type", REFUSED)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path, settings, capfd, model_type):
    variant = save(build(model_type), tmp_path / "model")
    study = tmp_path / "study.toml"
    study.write_text(f'[models.mine]\nsource = {str(tmp_path / "model")!r}\nkind = "base"\n')
    capfd.readouterr()
    main(["validate", "--study", str(study), "--model", "mine", "--results-dir", str(settings.results_dir)])
    out, err = capfd.readouterr()
    assert [line for line in out.splitlines() if line.startswith("problem")] == [
        f"problem  mine: {REFUSED[model_type]}"
    ]
    assert err == ""
    (tmp_path / "model/model.safetensors").write_bytes(b"no weights")  # a run refuses before it reads them
    for percent in (0, 40):
        with pytest.raises(AccessError) as caught:
            record_of(experiment_of(variant, settings), variant, percent)
        assert str(caught.value) == REFUSED[model_type]


def test_a_language_model_saved_alone_runs(tmp_path, settings):
    """The remedy for gemma3, as the docs give it."""
    whole = build("gemma3").eval()
    alone = Gemma3ForCausalLM(whole.config.text_config)
    alone.model, alone.lm_head = whole.model.language_model, whole.lm_head
    alone.generation_config = whole.generation_config
    variant = save(alone, tmp_path / "text")
    ids = torch.tensor([[5, 6, 7]])
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "text")
    assert torch.equal(loaded(ids).logits, whole(ids).logits)
    runs(variant, settings)


def as_llama(phi3):
    """The same function as a Llama: the fused matrices of attention and MLP are split."""
    sizes = {name: value for name, value in phi3.config.to_dict().items() if name in {*SIZE, "rms_norm_eps"}}
    llama = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **sizes))
    weights = {}
    for name, value in phi3.state_dict().items():
        if "qkv_proj" in name:
            for part, piece in zip("qkv", value.chunk(3), strict=True):  # as many key as query heads here
                weights[name.replace("qkv_proj", f"{part}_proj")] = piece
        elif "gate_up_proj" in name:
            for part, piece in zip(("gate", "up"), value.chunk(2), strict=True):
                weights[name.replace("gate_up_proj", f"{part}_proj")] = piece
        else:
            weights[name] = value
    llama.load_state_dict(weights)
    return llama.eval()


def test_a_phi3_converted_to_a_llama_runs(tmp_path, settings):
    """The remedy for fused projections."""
    phi3 = Phi3ForCausalLM(Phi3Config(**SIZE | TEXT_ONLY["phi3"])).eval()
    llama = as_llama(phi3)
    ids = torch.tensor([[5, 6, 7]])
    # Other kernels for matrices of another size: equal up to the rounding of float32.
    torch.testing.assert_close(llama(ids).logits, phi3(ids).logits, rtol=1e-4, atol=1e-5)
    runs(save(llama, tmp_path / "llama"), settings)
