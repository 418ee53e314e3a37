import copy
import logging
from fractions import Fraction

import pytest
import torch

from glu_lib.errors import AccessError, VerificationError
from glu_lib.models.cut import Texts
from glu_lib.models.neuron_scores import Calibration, neuron_scores
from glu_lib.models.pruning import prune
from glu_lib.models.shapes import build_on_meta, count_parameters
from glu_lib.study import STUDY, Method
from glu_lib.study.architecture import Architecture, pruned_width
from glu_lib.study.asked import Asked, Quantity
from glu_lib.study.layers import Layers
from glu_lib.study.pruning import Pruning

SMALL = {
    "hidden_size": 16,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "vocab_size": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
SHAPE = Architecture(
    hidden_size=16,
    intermediate_size=40,
    num_layers=2,
    num_heads=2,
    num_kv_heads=1,
    head_dim=8,
    vocab_size=32,
    tied_embeddings=False,
    max_positions=2048,
    rope_theta=10000.0,
)


def batches():
    return [{"input_ids": torch.arange(1, 25).view(3, 8), "attention_mask": torch.ones(3, 8, dtype=torch.long)}]


def activation_norms(model):
    """L2 norm of each neuron's activation (the input of the down projection), shape (width,) per layer."""
    found = {}
    handles = [
        layer.mlp.down_proj.register_forward_hook(
            lambda _module, inputs, _output, index=index: found.__setitem__(index, inputs[0].norm(dim=(0, 1)))
        )
        for index, layer in enumerate(model.model.layers)
    ]
    with torch.no_grad():
        model(**batches()[0])
    for handle in handles:
        handle.remove()
    return found


@pytest.mark.parametrize("method", [method for method in Method if method is not Method.FILE])
@pytest.mark.parametrize("percent", [10, 40, 60])
def test_each_method_keeps_its_highest_scores_in_their_order(tiny_llama, method, percent):
    before = copy.deepcopy(tiny_llama)
    norms = activation_norms(before)
    pruning = Pruning(percent, method)
    result = prune(tiny_llama, pruning, Texts(lambda: Calibration(batches(), "a text")))
    assert result.calibration == ("a text" if method is Method.HYBRID else None)
    width = pruned_width(40, percent)
    assert (result.width, result.asked_width, result.unpruned_width) == (width, width, 40)
    for index, layer in enumerate(tiny_llama.model.layers):
        original = before.model.layers[index].mlp
        scores = neuron_scores(original, pruning, layer=index, activation_norms=norms[index])
        kept = scores.argsort(descending=True)[:width].sort().values
        assert torch.equal(layer.mlp.gate_proj.weight, original.gate_proj.weight[kept])
        assert torch.equal(layer.mlp.up_proj.weight, original.up_proj.weight[kept])
        assert torch.equal(layer.mlp.down_proj.weight, original.down_proj.weight[:, kept])


@pytest.mark.parametrize("method", [Method.PPM, Method.PPM_DOWN])
@pytest.mark.parametrize("divisor", [None, 32])
@pytest.mark.parametrize("wanted", range(33, 40))
def test_what_is_asked_leaves_exactly_the_width_that_was_resolved(tiny_llama, method, divisor, wanted):
    asked = Asked(Quantity.RATIO, Fraction(wanted, 16))
    pruning = Pruning(0, method, divisor).to(asked, SHAPE, None)
    result = prune(tiny_llama, pruning)
    assert result.widths == [divisor or wanted] * 2
    assert result.parameters == SHAPE.parameters(divisor or wanted) == count_parameters(tiny_llama)


def test_with_layers_the_whole_model_has_what_was_asked(tiny_llama):
    pruning = Pruning(0, layers=Layers.parse("1")).to(Asked.parse("2x"), SHAPE, None)
    result = prune(tiny_llama, pruning)
    assert (result.widths, result.expansion_ratio) == ([40, 24], 2.0)


def test_ppm_is_max_plus_abs_min_of_gate_and_up_rows(tiny_llama):
    mlp = tiny_llama.model.layers[0].mlp
    gate, up = mlp.gate_proj.weight.detach(), mlp.up_proj.weight.detach()
    expected = gate.amax(1) + gate.amin(1).abs() + up.amax(1) + up.amin(1).abs()
    torch.testing.assert_close(neuron_scores(mlp, Pruning(40), layer=0), expected)


def test_ppm_down_adds_max_plus_abs_min_of_the_down_columns(tiny_llama):
    mlp = tiny_llama.model.layers[0].mlp
    down = mlp.down_proj.weight.detach()
    expected = neuron_scores(mlp, Pruning(40), layer=0) + down.amax(0) + down.amin(0).abs()
    torch.testing.assert_close(neuron_scores(mlp, Pruning(40, Method.PPM_DOWN), layer=0), expected)


def test_the_baseline_is_left_as_it_is(tiny_llama):
    before = copy.deepcopy(tiny_llama.state_dict())
    result = prune(tiny_llama, Pruning(0))
    assert (result.width, result.method, result.kept_neurons) == (40, None, None)
    assert all(torch.equal(value, before[name]) for name, value in tiny_llama.state_dict().items())


def test_a_pruned_model_still_answers_and_its_config_says_its_width(tiny_llama):
    prune(tiny_llama, Pruning(30))
    assert tiny_llama.config.intermediate_size == 28
    assert tiny_llama(torch.tensor([[1, 2, 3]])).logits.shape == (1, 3, 32)


def test_counts_and_alignment_are_recorded(tiny_llama):
    result = prune(tiny_llama, Pruning(30))
    assert result.unpruned_parameters - result.parameters == 2 * 3 * 16 * 12
    assert result.parameters == count_parameters(tiny_llama)
    assert (result.width_mod_8, result.width_mod_64, result.width_mod_128) == (28 % 8, 28, 28)


def test_a_divisor_rounds_the_width_down(tiny_llama):
    result = prune(tiny_llama, Pruning(10, divisor=32))
    assert (result.width, result.asked_width) == (32, 32)


def test_the_random_selection_follows_its_seed_alone(tiny_llama):
    twin, other = copy.deepcopy(tiny_llama), copy.deepcopy(tiny_llama)
    first = prune(tiny_llama, Pruning(40, Method.RANDOM, seed=5)).kept_neurons
    torch.manual_seed(99)
    assert prune(twin, Pruning(40, Method.RANDOM, seed=5)).kept_neurons == first
    assert prune(other, Pruning(40, Method.RANDOM, seed=6)).kept_neurons != first


def test_pruning_leaves_torchs_random_state_and_the_root_logger_alone(tiny_llama):
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    prune(tiny_llama, Pruning(40))
    assert torch.equal(torch.rand(4), expected)
    assert (root.handlers, root.level) == (handlers, level)


def test_keeping_other_neurons_than_the_scores_say_is_caught(tiny_llama, monkeypatch):
    import optipfair.pruning.mlp_glu as mlp_glu

    def lowest(gate, up):
        return -mlp_glu.compute_neuron_pair_importance_maw(gate, up)

    original = mlp_glu.prune_model_mlp_glu

    def wrong(model, **options):
        with monkeypatch.context() as patch:
            patch.setitem(mlp_glu.IMPORTANCE_FUNCTIONS, "PPM", lowest)
            return original(model, **options)

    monkeypatch.setattr(mlp_glu, "prune_model_mlp_glu", wrong)
    with pytest.raises(
        VerificationError, match="layer 0: the kept part of gate_proj.weight does not belong to the 24 neurons"
    ):
        prune(tiny_llama, Pruning(40))


@pytest.mark.parametrize("name", ["up_proj", "down_proj"])
def test_a_projection_that_does_not_belong_to_the_neurons_that_stayed_is_caught(tiny_llama, monkeypatch, name):
    import optipfair.pruning.mlp_glu as mlp_glu

    original = mlp_glu.prune_model_mlp_glu

    def wrong(model, **options):
        pruned = original(model, **options)
        weight = getattr(model.model.layers[1].mlp, name).weight
        weight.data = weight.data.flip(0)
        return pruned

    monkeypatch.setattr(mlp_glu, "prune_model_mlp_glu", wrong)
    with pytest.raises(
        VerificationError, match=f"layer 1: the kept part of {name}.weight does not belong to the 24 neurons"
    ):
        prune(tiny_llama, Pruning(40))


def test_biases_go_with_their_neurons():
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(LlamaConfig(**SMALL, mlp_bias=True)).eval()
    for layer in model.model.layers:
        for projection in (layer.mlp.gate_proj, layer.mlp.up_proj, layer.mlp.down_proj):
            projection.bias.data.normal_()
    before = copy.deepcopy(model)
    prune(model, Pruning(40))
    for layer, old in zip(model.model.layers, before.model.layers, strict=True):
        kept = neuron_scores(old.mlp, Pruning(40), layer=0).argsort(descending=True)[:24].sort().values
        assert torch.equal(layer.mlp.gate_proj.bias, old.mlp.gate_proj.bias[kept])
        assert torch.equal(layer.mlp.up_proj.bias, old.mlp.up_proj.bias[kept])
        assert torch.equal(layer.mlp.down_proj.bias, old.mlp.down_proj.bias)


EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 8}
MIXED = {
    "Qwen3Moe": EXPERTS | {"num_experts": 4, "mlp_only_layers": [0]},
    "DeepseekV3": EXPERTS
    | {"n_routed_experts": 4, "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1, "num_key_value_heads": 2}
    | {"kv_lora_rank": 8, "q_lora_rank": None, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8},
}


@pytest.mark.parametrize("family", MIXED)
@pytest.mark.parametrize("percent", [0, 40])
def test_experts_behind_a_dense_layer_are_named(family, percent):
    import transformers

    config = getattr(transformers, f"{family}Config")(**SMALL | MIXED[family])
    model = getattr(transformers, f"{family}ForCausalLM")(config)
    before = copy.deepcopy(model.state_dict())
    message = rf"\({family}ForCausalLM\) cannot be pruned: layer 1 \(counting from 0\) is a mixture of experts "
    with pytest.raises(AccessError, match=message + r"\(.*experts.*\), not one MLP; choose a dense model"):
        prune(model, Pruning(percent))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def widen(layer, width):
    layer.mlp.gate_proj = torch.nn.Linear(16, width, bias=False)
    layer.mlp.up_proj = torch.nn.Linear(16, width, bias=False)
    layer.mlp.down_proj = torch.nn.Linear(width, 16, bias=False)


def test_a_layer_of_another_width_is_named(tiny_llama):
    widen(tiny_llama.model.layers[1], 48)
    with pytest.raises(AccessError) as caught:
        prune(tiny_llama, Pruning(40))
    assert str(caught.value) == (
        "model type llama (LlamaForCausalLM) cannot be pruned: layer 1 (counting from 0) has 48 neurons with 16 inputs "
        "each, layer 0 has 40 with 16; all layers must have the same width, choose another model"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda layer: delattr(layer.mlp, "down_proj"), r"has no down_proj \(LlamaMLP; it has gate_proj, up_proj\)"),
        (lambda layer: delattr(layer, "mlp"), "has no MLP"),
        (
            lambda layer: setattr(layer.mlp, "up_proj", torch.nn.Linear(16, 32, bias=False)),
            r"has projections that do not fit together \(gate_proj 40×16, up_proj 32×16, down_proj 16×40\)",
        ),
        (
            lambda layer: setattr(layer.mlp, "gate_proj", torch.nn.Conv1d(1, 1, 1)),
            r"has a gate_proj that is not a linear layer \(Conv1d\)",
        ),
        (
            lambda layer: setattr(layer.mlp, "norm", torch.nn.LayerNorm(40)),
            r"has norm in addition to its projections \(LlamaMLP\)",
        ),
    ],
    ids=["no down projection", "no MLP", "unlike projections", "another kind", "a norm over the neurons"],
)
def test_what_is_wrong_with_a_layer_is_said(tiny_llama, change, message):
    change(tiny_llama.model.layers[1])
    with pytest.raises(
        AccessError, match=rf"layer 1 \(counting from 0\) {message}; this kind of width pruning does not"
    ):
        prune(tiny_llama, Pruning(40))


def test_a_model_without_a_gated_mlp_is_refused():
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=16, n_positions=16))
    with pytest.raises(AccessError, match=r"model type gpt2 .* cannot be pruned: layer 0 .*; .* choose a Llama-style"):
        prune(model, Pruning(40))


@pytest.mark.parametrize("percent", [0, 10, 60])
def test_the_meta_device_gives_exact_counts_without_weights(percent):
    shape = STUDY.models["llama3b"].architecture
    result = prune(build_on_meta(shape), Pruning(percent))
    assert result.parameters == shape.parameters(pruned_width(8192, percent))
    assert result.kept_neurons is None
