"""Saving a model whose layers have unlike widths: where its architecture can be built so, and a refusal elsewhere."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaMLP

from glu_lib.errors import AccessError
from glu_lib.models.loading import LoadedModel
from glu_lib.models.pruning import prune
from glu_lib.models.shapes import set_layer_widths
from glu_lib.study.layers import Layers
from glu_lib.study.pruning import Pruning

SHAPE = {
    "hidden_size": 16,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "vocab_size": 32,
    "max_position_embeddings": 64,
}


class WidthsConfig(LlamaConfig):
    model_type = "llama_of_widths"


class WidthsForCausalLM(LlamaForCausalLM):
    """A Llama whose MLPs have the widths of the configuration of their layer."""

    config_class = WidthsConfig

    def __init__(self, config):
        plain = LlamaConfig(**SHAPE)
        super().__init__(plain)
        self.config = self.model.config = config
        for index, layer in enumerate(self.model.layers):
            layer.mlp = LlamaMLP(config.per_layer_config[index] if config.is_heterogeneous else config)
        self.post_init()


@pytest.fixture(scope="module", autouse=True)
def registered():
    AutoConfig.register(WidthsConfig.model_type, WidthsConfig)
    AutoModelForCausalLM.register(WidthsConfig, WidthsForCausalLM)


class NoTokenizer:
    def save_pretrained(self, folder):
        """There is nothing to save."""


def loaded(model):
    return LoadedModel(model.eval(), NoTokenizer(), 0.0)


def logits(model):
    with torch.no_grad():
        return model(torch.arange(1, 31).view(2, 15), use_cache=False).logits


def test_an_architecture_with_widths_of_layers_is_saved_and_reloaded_with_equal_logits(tmp_path):
    torch.manual_seed(0)
    model = WidthsForCausalLM(WidthsConfig(**SHAPE)).eval()
    unpruned = logits(model)
    assert prune(model, Pruning(40, layers=Layers.parse("1"))).widths == [40, 24, 40]
    expected = logits(model)
    assert not torch.allclose(expected, unpruned, atol=1e-6)
    loaded(model).save(tmp_path)
    found = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    assert [layer.mlp.gate_proj.out_features for layer in found.model.layers] == [40, 24, 40]
    assert torch.equal(logits(found), expected)


def test_a_llama_of_unlike_widths_is_refused_in_one_line_and_nothing_is_written(tmp_path):
    model = LlamaForCausalLM(LlamaConfig(**SHAPE)).eval()
    prune(model, Pruning(40, layers=Layers.parse("1-")))
    before = model.config.to_dict()
    with pytest.raises(AccessError) as caught:
        loaded(model).save(tmp_path)
    assert str(caught.value) == (
        "LlamaForCausalLM cannot be saved with layers of unlike widths: this version of transformers builds all its "
        "layers with one; prune all layers, or share the recipe (model, level, method, layers) instead"
    )
    assert list(tmp_path.iterdir()) == []
    assert model.config.to_dict() == before


@pytest.mark.parametrize("text", ["all", "0-"])
def test_a_llama_of_one_width_is_saved_as_ever(tmp_path, text):
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SHAPE)).eval()
    prune(model, Pruning(40, layers=Layers.parse(text)))
    expected = logits(model)
    set_layer_widths(model)
    loaded(model).save(tmp_path)
    found = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    assert found.config.intermediate_size == 24
    assert torch.equal(logits(found), expected)
