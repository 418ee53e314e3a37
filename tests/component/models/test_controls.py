"""The controls from the model: without MLP, and untrained."""

import copy
import dataclasses

import pytest
import torch

from glu_lib.machine.environment import detect_environment
from glu_lib.models.identity import resolve_identity
from glu_lib.models.loading import end_tokens, load_model
from glu_lib.models.pruning import prune
from glu_lib.models.shapes import count_parameters
from glu_lib.study import STUDY, Control
from glu_lib.study.pruning import Pruning
from glu_lib.study.settings import DType, Settings

NANO = STUDY.models["nano"]
IDENTITY = resolve_identity(NANO)
ENVIRONMENT = detect_environment(Settings(device="cpu", dtype=DType.FLOAT32))
TOKENS = torch.arange(2, 34).view(2, 16)


def nano(environment=ENVIRONMENT, **options):
    return load_model(NANO, IDENTITY, environment, **options).model


def logits(model):
    with torch.no_grad():
        return model(TOKENS).logits


def with_silent_mlps(model):
    """The same model; a hook puts zeros in place of each MLP's output."""
    for layer in model.model.layers:
        layer.mlp.register_forward_hook(lambda _mlp, _inputs, output: torch.zeros_like(output))
    return model


@pytest.mark.parametrize("dtype", [DType.FLOAT32, DType.BFLOAT16])
def test_without_mlp_the_logits_are_those_of_mlps_that_return_zero(dtype):
    environment = dataclasses.replace(ENVIRONMENT, dtype=dtype)
    model, whole = nano(environment), nano(environment)
    unpruned = logits(whole)
    prune(model, Pruning.of(Control.NO_MLP))
    assert torch.equal(logits(model), logits(with_silent_mlps(whole)))
    assert not torch.allclose(logits(model), unpruned, atol=0.1)


def test_without_mlp_all_parameters_but_the_mlps_stay():
    model, whole = nano(), nano()
    result = prune(model, Pruning.of(Control.NO_MLP))
    of_mlps = sum(count_parameters(layer.mlp) for layer in whole.model.layers)
    assert result.parameters == count_parameters(model) == count_parameters(whole) - of_mlps
    assert result.parameters == NANO.architecture.parameters(0)
    assert (result.percent, result.width, result.expansion_ratio, result.unpruned_width) == (100, 0, 0.0, 512)
    assert (result.method, result.kept_neurons) == (None, None)
    after = dict(model.named_parameters())
    for name, tensor in whole.named_parameters():
        assert ".mlp." in name or torch.equal(tensor, after[name])


def test_without_mlp_no_bias_is_left():
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 16, "intermediate_size": 40, "num_hidden_layers": 2, "vocab_size": 64}
    model = LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=2, num_key_value_heads=1, mlp_bias=True)).eval()
    for layer in model.model.layers:
        layer.mlp.down_proj.bias.data.fill_(1.0)
    whole = copy.deepcopy(model)
    prune(model, Pruning.of(Control.NO_MLP))
    assert torch.equal(logits(model), logits(with_silent_mlps(whole)))


def test_an_untrained_model_has_the_shape_and_the_settings_of_its_own_and_other_weights():
    model, trained = nano(is_untrained=True), nano()
    shapes, theirs = ({name: tensor.shape for name, tensor in found.named_parameters()} for found in (model, trained))
    assert shapes == theirs
    assert (model.dtype, model.training, end_tokens(model)) == (trained.dtype, False, end_tokens(trained))
    result = prune(model, Pruning.of(Control.UNTRAINED))
    assert (result.percent, result.width, result.parameters) == (0, 512, count_parameters(trained))
    for name, tensor in trained.named_parameters():
        assert not torch.equal(tensor, dict(model.named_parameters())[name]), name
    # A model that has learnt nothing gives each of the 552 tokens about the same probability.
    assert (
        logits(model).log_softmax(-1).abs().max()
        < 2 * torch.tensor(552.0).log()
        < logits(trained).log_softmax(-1).abs().max()
    )


def test_untrained_weights_follow_the_runs_seed_alone():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, again = nano(is_untrained=True), nano(is_untrained=True)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(logits(first), logits(again))
    other = nano(dataclasses.replace(ENVIRONMENT, seed=ENVIRONMENT.seed + 1), is_untrained=True)
    assert not torch.equal(logits(first), logits(other))
