"""A requested pruning: widths and percentages of layers by arithmetic, its key, its parameters."""

from dataclasses import replace

import pytest

from glu_lib.errors import StudyError
from glu_lib.study import STUDY, Control, Method
from glu_lib.study.layers import Layers, PercentOf
from glu_lib.study.methods import Selection
from glu_lib.study.pruning import Pruning

SHAPE = replace(STUDY.models["llama1b"].architecture, num_layers=30, intermediate_size=1000, hidden_size=250)


def of_model(percent, text, **options):
    return Pruning(percent, layers=Layers.parse(text), percent_of=PercentOf.MODEL, **options)


def test_without_layers_every_layer_loses_the_percentage():
    assert Pruning(40).widths(1000, 30) == (600,) * 30
    assert Pruning(40).pruned_layers(3) == (0, 1, 2)
    assert Pruning(40).layer_percent(30) == 40


def test_of_the_layer_each_named_layer_loses_the_percentage_and_no_other():
    pruning = Pruning(40, layers=Layers.parse("1-2"))
    assert pruning.widths(1000, 4) == (1000, 600, 600, 1000)
    assert pruning.layer_percent(4) == 40


@pytest.mark.parametrize(
    ("percent", "text", "each"),
    [(40, "0-19", 60), (10, "0-9", 30), (10, "0-8", 100 / 3), (95, "0-", 95), (19, "0-5", 95)],
)
def test_of_the_model_the_named_layers_carry_the_loss_of_all(percent, text, each):
    pruning = of_model(percent, text)
    assert pruning.layer_percent(30) == pytest.approx(each, rel=1e-15)
    removed = 30 * 1000 - sum(pruning.widths(1000, 30))
    # At most one neuron per pruned layer stays, because a layer loses whole neurons.
    count = len(pruning.pruned_layers(30))
    assert 0 <= percent / 100 * 30 * 1000 - removed < count


def test_more_than_95_per_cent_of_a_layer_is_refused_in_one_line():
    with pytest.raises(StudyError) as caught:
        of_model(20, "0-5").widths(1000, 30)
    assert str(caught.value) == (
        "p20ofmodel-layers0to5only: 20 % of the model from 6 of its 30 layers is 100 % of each, at most 95 % can go; "
        "choose more layers or a lower level"
    )


def test_the_divisor_rounds_the_pruned_layers_alone():
    assert Pruning(41, divisor=64, layers=Layers.parse("0")).widths(1000, 2) == (576, 1000)
    assert of_model(20, "0", divisor=64).widths(1000, 2) == (576, 1000)


def test_at_p0_and_in_controls_no_layer_is_selected():
    for text in (None, Layers.parse("1")):
        baseline = Pruning(0, layers=text)
        assert (baseline.widths(1000, 2), baseline.pruned_layers(2)) == ((1000, 1000), ())
    assert Pruning.of(Control.NO_MLP).widths(1000, 2) == (0, 0)
    assert Pruning.of(Control.UNTRAINED).widths(1000, 2) == (1000, 1000)
    assert not Pruning.of(Control.NO_MLP).selects


def test_of_all_layers_both_readings_are_one_level():
    assert Pruning(40, percent_of=PercentOf.MODEL) == Pruning(40)
    assert hash(Pruning(40, percent_of=PercentOf.MODEL)) == hash(Pruning(40))


@pytest.mark.parametrize(
    ("pruning", "key"),
    [
        (Pruning(40), "p40"),
        (Pruning(40, Method.VOW, 128), "p40d128-VOW"),
        (Pruning(40, Method.RANDOM, seed=2, layers=Layers("1-")), "p40-layers1uponly-random2"),
        (of_model(40, "-0,-29", divisor=64), "p40ofmodeld64-layers0_29spared"),
        (Pruning(40, Method.PPM_DOWN), "p40-PPM_down"),
        (Pruning(40, Method.RANDOM), "p40-random1"),
        (Pruning.of(Control.NO_MLP), "nomlp"),
    ],
)
def test_the_key_names_what_differs_from_the_defaults(pruning, key):
    assert pruning.key == key


def test_a_selection_is_what_the_pruning_was_made_of():
    (chosen,) = Selection.parse("random:7")
    assert Pruning(40, chosen.method, seed=chosen.seed).selection == chosen
    assert Pruning(40).selection == Selection()


def test_the_mean_ratio_counts_every_layer():
    assert Pruning(0).mean_ratio(SHAPE) == SHAPE.expansion_ratio == 4.0
    assert Pruning(40, layers=Layers.parse("0-14")).mean_ratio(SHAPE) == pytest.approx((4.0 + 2.4) / 2)
    assert of_model(40, "0-19").mean_ratio(SHAPE) == pytest.approx(Pruning(40).mean_ratio(SHAPE)) == pytest.approx(2.4)


def test_parameters_follow_the_widths_of_the_layers():
    assert SHAPE.parameters() == SHAPE.parameters(1000) == SHAPE.parameters((1000,) * 30)
    one_less = (999, *(1000,) * 29)
    assert SHAPE.parameters() - SHAPE.parameters(one_less) == 3 * 250  # a row of gate and up, a column of down
