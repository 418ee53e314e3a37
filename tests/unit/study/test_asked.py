"""Levels by what is wanted: forms, exact widths against plain counting, ids, and what is impossible."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glu_lib.errors import StudyError
from glu_lib.study import STUDY
from glu_lib.study.architecture import exact_percent, pruned_width
from glu_lib.study.asked import Asked, Quantity, parse_level
from glu_lib.study.cases import build_cases
from glu_lib.study.layers import Layers, PercentOf
from glu_lib.study.pruning import Pruning

LLAMA_1B, LLAMA_3B = (STUDY.models[key].architecture for key in ("llama1b", "llama3b"))
SHAPE = replace(LLAMA_1B, hidden_size=250, intermediate_size=1000, num_layers=10)


@pytest.mark.parametrize(
    ("text", "quantity", "amount", "written", "key"),
    [
        ("2.4x", Quantity.RATIO, Fraction("2.4"), "2.4x", "r2.4x"),
        ("2.40 X", Quantity.RATIO, Fraction("2.4"), "2.4x", "r2.4x"),
        ("3x", Quantity.RATIO, 3, "3x", "r3x"),
        ("900M", Quantity.PARAMETERS, 900_000_000, "900M", "n900m"),
        ("0.9b", Quantity.PARAMETERS, 900_000_000, "900M", "n900m"),
        ("1200m", Quantity.PARAMETERS, 1_200_000_000, "1.2B", "n1.2b"),
        ("1.8GB", Quantity.BYTES, 1_800_000_000, "1.8GB", "b1.8gb"),
        ("850.5 mb", Quantity.BYTES, 850_500_000, "850.5MB", "b850.5mb"),
        ("0.5M", Quantity.PARAMETERS, 500_000, "0.5M", "n0.5m"),
    ],
)
def test_each_amount_has_one_form(text, quantity, amount, written, key):
    found = parse_level(text)
    assert (found.quantity, found.amount, str(found), found.key) == (quantity, amount, written, key)


@pytest.mark.parametrize("text", ["40", " 40% ", "40 %"])
def test_a_plain_number_is_a_percentage(text):
    assert parse_level(text) == 40


@pytest.mark.parametrize("text", ["", "x", "0x", "2,4x", "-1x", "2.4", "1.8GiB", "900K", "1e3M", "12.5%", "٣x", "nan"])
def test_another_form_is_refused_in_one_line(text):
    with pytest.raises(StudyError) as caught:
        parse_level(text)
    assert str(caught.value) == (
        f'level {text!r}: write a level as 40 (per cent, a whole number from 0 to 95), "2.4x" (expansion ratio), '
        '"900M" or "1.2B" (parameters), "800MB" or "1.8GB" (bytes of the weights in the dtype of the run)'
    )


def test_one_ratio_gives_each_model_its_width():
    assert Asked.parse("2.4x").width(LLAMA_1B) == 4915  # 2.39990
    assert Asked.parse("2.4x").width(LLAMA_3B) == 7372  # 2.39974
    assert Asked.parse("2.5x").width(STUDY.models["nano"].architecture) == 320  # exactly
    assert Asked.parse("2.4x").width(LLAMA_1B, divisor=128) == 4864


@given(
    st.integers(51, 999), st.sampled_from(list(Quantity)), st.sampled_from([2, 4]), st.sampled_from([None, (0, 3, 9)])
)
def test_the_width_is_the_widest_that_has_at_most_what_was_asked(width, quantity, weight_bytes, pruned):
    def has(width):
        widths = [width if pruned is None or layer in pruned else 1000 for layer in range(10)]
        if quantity is Quantity.RATIO:
            return Fraction(sum(widths), 10 * 250)
        return SHAPE.parameters(widths) * (weight_bytes if quantity is Quantity.BYTES else 1)

    for amount in (has(width), has(width) + Fraction(1, 10**6), has(width + 1) - Fraction(1, 10**6)):
        assert Asked(quantity, Fraction(amount)).width(SHAPE, pruned=pruned, weight_bytes=weight_bytes) == width


@given(st.integers(2, 20_000), st.data())
def test_a_percentage_leaves_exactly_the_width(unpruned, data):
    width = data.draw(st.integers(1, unpruned - 1))
    assert pruned_width(unpruned, exact_percent(unpruned, width)) == width


@pytest.mark.parametrize(
    ("text", "shape", "options", "message"),
    [
        ("4x", LLAMA_1B, {}, "it has 4x unpruned, which is p0; ask for less"),
        ("2.67x", LLAMA_3B, {}, "it has 2.667x unpruned, which is p0; ask for less"),
        ("2B", LLAMA_1B, {}, "it has 1.236B unpruned, which is p0; ask for less"),
        ("0.2x", LLAMA_1B, {}, "at most 95 % of the neurons can go, which leaves 0.2x; ask for more than that"),
        (
            "1.8GB",
            LLAMA_1B,
            {"weight_bytes": 4},
            "at most 95 % of the neurons can go, which leaves 1.883GB; ask for more than that",
        ),
        (
            "2x",
            SHAPE,
            {"pruned": (0, 1)},
            "at most 95 % of the neurons of 2 of its 10 layers can go, which leaves 3.24x; ask for more than that",
        ),
        ("1GB", LLAMA_1B, {}, "level 1GB: bytes depend on the dtype, which is not known here; ask for parameters"),
        (
            "0.21x",
            LLAMA_1B,
            {"divisor": 256},
            None,
        ),
    ],
)
def test_what_a_model_cannot_be_pruned_to_is_refused_in_one_line(text, shape, options, message):
    if message is None:
        assert Asked.parse(text).width(shape, **options) == 256
        return
    with pytest.raises(StudyError) as caught:
        Asked.parse(text).width(shape, **options)
    assert str(caught.value) == message


def test_a_divisor_that_leaves_no_neuron_is_refused():
    with pytest.raises(StudyError, match="divisor 256: only 100 of 1000 neurons stay at 0.4x, which rounds down to 0"):
        Asked.parse("0.4x").width(SHAPE, divisor=256)


def test_a_pruning_holds_the_width_and_what_it_really_loses():
    found = Pruning(0, divisor=32).to(Asked.parse("2.4x"), LLAMA_1B, None)
    assert (found.key, found.width, found.percent) == ("r2.4xd32", 4896, 100 * (1 - 4896 / 8192))
    assert found.widths(8192, 16) == (4896,) * 16
    some = Pruning(0, layers=Layers.parse("0-4"), percent_of=PercentOf.MODEL).to(Asked.parse("3x"), SHAPE, None)
    assert (some.key, some.widths(1000, 10)) == ("r3x-layers0to4only", (500,) * 5 + (1000,) * 5)
    assert some.mean_ratio(SHAPE) == 3


def test_cases_have_the_asked_level_in_their_ids_between_the_others():
    study = STUDY.with_levels([10, Asked.parse("2.4x"), 60, Asked.parse("900M"), Asked.parse("2.4x")])
    cases = build_cases(study, weight_bytes=2)
    levels = dict.fromkeys(case.pruning.key for case in cases if case.model.key == "llama1b" and "paper" in case.suites)
    assert list(levels) == ["p0", "p10", "r2.4x", "n900m", "p60"]
    ids = [case.id for case in cases]
    assert len(ids) == len(set(ids))
    assert "llama3b-r2.4x-piqa" in ids
    assert {case.pruning.width for case in cases if case.group == "llama3b-r2.4x"} == {7372}


def test_an_impossible_level_is_told_for_the_selected_case():
    study = STUDY.with_levels([Asked.parse("2.67x"), Asked.parse("1GB")])
    found = {case.group: case for case in build_cases(study, weight_bytes=4)}
    found["llama1b-r2.67x"].check_fits()
    with pytest.raises(StudyError, match="^model llama3b, level r2.67x: it has 2.667x unpruned, which is p0; ask for"):
        found["llama3b-r2.67x"].check_fits()
    unknown = replace(STUDY.models["llama1b"], architecture=None, levels=(Asked.parse("2x"),))
    cases = build_cases(replace(study, models=study.models | {"llama1b": unknown}))
    case = next(case for case in cases if case.group == "llama1b-r2x")
    with pytest.raises(StudyError) as caught:
        case.check_fits()
    assert str(caught.value) == (
        "model llama1b, level r2x: it needs the model's shape, which is not known; declare "
        "[models.<key>.architecture], or give a level in per cent"
    )


def test_a_level_that_k_would_mistake_is_named():
    models = STUDY.models | {"mean1b": replace(STUDY.models["nano"], key="mean1b")}
    with pytest.raises(StudyError, match="model key 'mean1b' contains the level n1b: -k n1b would select both"):
        replace(STUDY, models=models).with_levels([Asked.parse("1B")])
    with pytest.raises(StudyError, match="levels 4 and 40 of model 'nano': -k p4 would select both"):
        STUDY.with_levels([4, 40])
    with pytest.raises(StudyError, match="level 99 of model 'nano' is outside 0–95 per cent"):
        STUDY.with_levels([99])
