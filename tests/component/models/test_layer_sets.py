"""Pruning some layers: which neurons go, what is left, and the numbers on what was removed."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from glu_lib.models.cut import Texts
from glu_lib.models.neuron_scores import Calibration, neuron_scores
from glu_lib.models.pruning import prune
from glu_lib.models.removed import activations_on, removed_of
from glu_lib.models.shapes import build_on_meta, count_parameters
from glu_lib.study import STUDY, Control, Method
from glu_lib.study.layers import Layers, PercentOf
from glu_lib.study.pruning import Pruning

NAMED = [method for method in Method if method not in (Method.FILE, Method.HYBRID)]
PROJECTIONS = ("gate_proj", "up_proj", "down_proj")


def llama(**changes):
    """A random Llama: hidden 16, width 40, 5 layers, biases in its MLPs that are not zero."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    shape = {"hidden_size": 16, "intermediate_size": 40, "num_hidden_layers": 5, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(**shape | {"num_key_value_heads": 1, "vocab_size": 32} | changes)).eval()
    for name, tensor in model.named_parameters():
        if name.endswith("bias"):
            tensor.data.normal_()
    return model


def batches():
    return [
        {"input_ids": torch.arange(1, 25).view(3, 8), "attention_mask": torch.ones(3, 8, dtype=torch.long)},
        {"input_ids": torch.arange(2, 18).view(2, 8), "attention_mask": torch.ones(2, 8, dtype=torch.long)},
    ]


def texts():
    return Texts(calibration=lambda: Calibration(batches(), "a text"), fixed=batches)


def logits(model):
    with torch.no_grad():
        return model(torch.arange(1, 31).view(2, 15)).logits


def layers_of(text, percent=40, method=Method.PPM, **options):
    return Pruning(percent, method, layers=Layers.parse(text), **options)


def removed_neurons(kept_width, scores):
    return scores.argsort(descending=True, stable=True)[kept_width:]


@pytest.mark.parametrize("method", [*NAMED, Method.HYBRID])
def test_a_set_of_all_layers_is_no_set(method):
    """`0-` and no --layers: the same weights, neurons, parameters and ratio."""
    found, whole = llama(), llama()
    with_set = prune(found, layers_of("0-", method=method), texts())
    without = prune(whole, Pruning(40, method), texts())
    assert (with_set.kept_neurons, with_set.parameters) == (without.kept_neurons, without.parameters)
    assert (with_set.expansion_ratio, with_set.widths) == (without.expansion_ratio, without.widths) == (1.5, [24] * 5)
    assert with_set.removed == without.removed
    assert (with_set.layers, without.layers) == ("0-4", None)
    after = dict(whole.named_parameters())
    assert all(torch.equal(tensor, after[name]) for name, tensor in found.named_parameters())
    assert found.config.intermediate_size == whole.config.intermediate_size == 24


@pytest.mark.parametrize("text", ["1-", "0,3", "-0,-4", "-2-"])
def test_only_the_named_layers_change(text):
    before, model = llama(), llama()
    result = prune(model, layers_of(text))
    pruned = Layers.parse(text).of(5)
    assert result.widths == [24 if layer in pruned else 40 for layer in range(5)]
    assert (result.width, result.asked_width, result.unpruned_width) == (24, 24, 40)
    assert result.expansion_ratio == pytest.approx(sum(result.widths) / 5 / 16)
    assert result.parameters == count_parameters(model)
    assert result.removed.layers == list(pruned)
    assert model.config.intermediate_size == 40
    after = dict(model.named_parameters())
    for name, tensor in before.named_parameters():
        is_pruned = any(f"layers.{layer}.mlp" in name for layer in pruned) and not name.endswith("down_proj.bias")
        assert is_pruned or torch.equal(tensor, after[name]), name
    assert logits(model).isfinite().all()


@pytest.mark.parametrize("method", [Method.RANDOM, Method.PPM])
def test_a_layer_keeps_the_same_neurons_whichever_other_layers_are_pruned(method):
    weights = []
    for text in ("all", "2", "1-3", "-0", "2,4"):
        model = llama()
        prune(model, layers_of(text, method=method))
        weights.append([getattr(model.model.layers[2].mlp, name).weight for name in PROJECTIONS])
    assert all(torch.equal(one, first) for found in weights[1:] for one, first in zip(found, weights[0], strict=True))


def test_the_layers_of_random_are_drawn_apart():
    before, model = llama(), llama()
    prune(model, Pruning(40, Method.RANDOM))
    kept = [
        [
            row
            for row in range(40)
            if any(torch.equal(old.mlp.up_proj.weight[row], new) for new in layer.mlp.up_proj.weight)
        ]
        for old, layer in zip(before.model.layers, model.model.layers, strict=True)
    ]
    assert [len(rows) for rows in kept] == [24] * 5
    assert len(set(map(tuple, kept))) == 5


def without_neurons(model, pruning):
    """The same model at its whole width, with zeros in place of the neurons that `pruning` removes."""
    widths = pruning.widths(40, 5)
    for index, layer in enumerate(model.model.layers):
        mlp = layer.mlp
        scores = neuron_scores(mlp, pruning, layer=index)
        gone = removed_neurons(widths[index], scores)
        for projection in (mlp.gate_proj, mlp.up_proj):
            projection.weight.data[gone] = 0
            if projection.bias is not None:
                projection.bias.data[gone] = 0
        mlp.down_proj.weight.data[:, gone] = 0
    return model


@pytest.mark.parametrize("method", NAMED)
@pytest.mark.parametrize("text", ["all", "1-"])
@pytest.mark.parametrize("has_bias", [True, False], ids=["biases", "no biases"])
def test_the_logits_are_those_of_the_whole_model_with_zeros_for_the_removed_neurons(method, text, has_bias):
    model, silenced, whole = (llama(mlp_bias=has_bias) for _ in range(3))
    # The tiny weights of a new model say little: large enough here that a wrong neuron shows.
    for found in (model, silenced, whole):
        for layer in found.model.layers:
            layer.mlp.down_proj.weight.data *= 50
    unpruned = logits(whole)
    pruning = layers_of(text, method=method)
    prune(model, pruning)
    expected = logits(without_neurons(silenced, pruning))
    torch.testing.assert_close(logits(model), expected, atol=1e-5, rtol=0)
    assert (expected - unpruned).abs().max() > 1e-3


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([key for key, model in STUDY.models.items() if model.architecture]),
    st.sampled_from(["all", "1-", "-0", "-2-", "0,2"]),
    st.sampled_from(list(PercentOf)),
    st.integers(0, 30),
    st.sampled_from([None, 64]),
)
def test_the_declared_shape_counts_the_parameters_that_optipfair_leaves(key, text, percent_of, percent, divisor):
    shape = STUDY.models[key].architecture
    small = replace(shape, num_layers=3)
    pruning = layers_of(text, percent, divisor=divisor, percent_of=percent_of)
    model = build_on_meta(small)
    result = prune(model, pruning)
    widths = pruning.widths(small.intermediate_size, 3)
    assert result.widths == list(widths)
    assert result.parameters == count_parameters(model) == small.parameters(widths)
    assert (result.kept_neurons, result.removed) == (None, None)


def by_a_plain_loop(mlp, kept, activations):
    """The shares of the removed neurons, one neuron after the other."""
    width, down = mlp.gate_proj.out_features, mlp.down_proj.weight.detach()
    squares = [sum(float(x) ** 2 for x in down[:, neuron]) for neuron in range(width)]
    on_text = [sum(float(x) ** 2 for x in activations[:, neuron]) for neuron in range(width)]
    gone = [neuron for neuron in range(width) if neuron not in kept]
    largest = [max(abs(float(x)) for x in activations[:, neuron]) for neuron in range(width)]
    return {
        "down_norm_share": sum(squares[neuron] for neuron in gone) / sum(squares),
        "activation_share": sum(on_text[neuron] for neuron in gone) / sum(on_text),
        "largest_activation": max(largest[neuron] for neuron in gone),
        "largest_of_all": max(largest),
    }


def activations_of(model):
    """The inputs of each layer's down projection on the text, (tokens, width)."""
    found = {index: [] for index in range(5)}
    handles = [
        layer.mlp.down_proj.register_forward_pre_hook(
            lambda _module, inputs, index=index: found[index].append(inputs[0].flatten(0, 1))
        )
        for index, layer in enumerate(model.model.layers)
    ]
    with torch.no_grad():
        for batch in batches():
            model(**batch)
    for handle in handles:
        handle.remove()
    return {index: torch.cat(parts) for index, parts in found.items()}


@pytest.mark.parametrize("method", NAMED)
@pytest.mark.parametrize("text", ["all", "1,3-"])
def test_what_was_removed_is_that_of_a_plain_loop(method, text):
    before, model = llama(), llama()
    activations = activations_of(before)
    pruning = layers_of(text, method=method)
    removed = prune(model, pruning, texts()).removed
    assert removed.layers == list(pruning.pruned_layers(5))
    for place, index in enumerate(removed.layers):
        mlp = before.model.layers[index].mlp
        scores = neuron_scores(mlp, pruning, layer=index)
        kept = set(scores.argsort(descending=True)[:24].tolist())
        for name, value in by_a_plain_loop(mlp, kept, activations[index]).items():
            assert getattr(removed, name)[place] == pytest.approx(value, rel=1e-5), name
        gone = sum(float(scores[neuron]) for neuron in range(40) if neuron not in kept)
        expected = None if method is Method.RANDOM else pytest.approx(gone / float(scores.double().sum()), rel=1e-6)
        assert removed.score_share[place] == expected


def test_shares_of_removed_and_kept_neurons_add_up_to_one():
    model = llama()
    mlp, activations = model.model.layers[0].mlp, activations_on(model, batches())[0]
    scores = neuron_scores(mlp, Pruning(40), layer=0)
    one, other = torch.arange(0, 13), torch.arange(13, 40)
    found = [removed_of(kept, Pruning(40), scores, mlp.down_proj.weight.detach(), activations) for kept in (one, other)]
    for name in ("score_share", "down_norm_share", "activation_share"):
        assert found[0][name] + found[1][name] == pytest.approx(1, abs=1e-9)
        assert 0 < found[0][name] < 1
    assert found[0]["largest_of_all"] == max(found[0]["largest_activation"], found[1]["largest_activation"])


def test_without_a_text_the_numbers_on_activations_are_not_known():
    removed = prune(llama(), Pruning(40)).removed
    for values in (removed.activation_share, removed.largest_activation, removed.largest_of_all):
        assert values == [None] * 5
    assert None not in removed.down_norm_share


@pytest.mark.parametrize("pruning", [Pruning(0), *map(Pruning.of, Control)], ids=lambda pruning: pruning.key)
def test_where_no_neurons_are_selected_nothing_is_said_and_no_text_is_read(pruning):
    def fail():
        raise AssertionError("no text is needed")

    result = prune(llama(mlp_bias=False), pruning, Texts(calibration=fail, fixed=fail))
    assert (result.removed, result.kept_neurons, result.layers, result.method) == (None, None, None, None)
