import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

from glu_lib.measure.scoring.cache import GrowingLayer, grow_in_place


def states(rows, tokens):
    return torch.randn(rows, 2, tokens, 4)


def test_a_growing_cache_holds_what_a_plain_one_holds():
    torch.manual_seed(0)
    plain, growing = DynamicLayer(), GrowingLayer(DynamicLayer())
    for step, tokens in enumerate([5, 1, 1, 200, 1, 1]):
        rows = 3 if step < 4 else 2
        if step == 4:  # a row leaves
            for layer in (plain, growing):
                layer.batch_select_indices(torch.tensor([0, 2]))
        new = states(rows, tokens), states(rows, tokens)
        plain.update(*new)
        keys, values = growing.update(*new)
        assert torch.equal(keys, plain.keys)
        assert torch.equal(values, plain.values)
        assert growing.get_seq_length() == plain.get_seq_length()


def test_a_step_writes_into_the_same_memory():
    layer = GrowingLayer(DynamicLayer())
    layer.update(states(1, 5), states(1, 5))
    layer.update(states(1, 1), states(1, 1))
    place = layer.keys.data_ptr()
    for _ in range(100):
        layer.update(states(1, 1), states(1, 1))
    assert layer.keys.data_ptr() == place


def test_other_kinds_of_layers_stay_as_they_are():
    class Sliding(DynamicLayer):
        """A kind of its own."""

    cache = DynamicCache()
    cache.layers = [DynamicLayer(), Sliding()]
    assert [type(layer) for layer in grow_in_place(cache).layers] == [GrowingLayer, Sliding]
    assert grow_in_place(None) is None
