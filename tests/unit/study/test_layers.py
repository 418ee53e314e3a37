"""Layer sets: what users write, the key in case ids, the numbers."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glu_lib.errors import StudyError
from glu_lib.study.layers import Layers, as_ranges

NUMBERS = st.integers(0, 40)
TO = st.builds("{}-{}".format, NUMBERS, NUMBERS)
TO_THE_END = st.builds("{}-".format, NUMBERS)
FROM_THE_END = st.builds("-{}-".format, st.integers(1, 40))
BETWEEN = st.builds("{}--{}".format, NUMBERS, st.integers(1, 40)) | st.builds(
    "-{}--{}".format, st.integers(1, 40), st.integers(1, 40)
)
LISTED = st.lists(NUMBERS.map(str) | TO | TO_THE_END | FROM_THE_END | BETWEEN, min_size=1, max_size=4).map(",".join)
LEFT_OUT = st.lists(NUMBERS.map("-{}".format), min_size=1, max_size=4).map(",".join)
TEXTS = LISTED | LEFT_OUT


@pytest.mark.parametrize(
    ("text", "layers", "key"),
    [
        ("4,8,12", [4, 8, 12], "layers4_8_12only"),
        ("1-29", list(range(1, 30)), "layers1to29only"),
        ("1-", list(range(1, 30)), "layers1uponly"),
        ("-3-", [27, 28, 29], "layerslast3uponly"),
        ("1--2", list(range(1, 29)), "layers1tolast2only"),
        ("-0,-29", list(range(1, 29)), "layers0_29spared"),
        ("-5--3", [25, 26, 27], "layerslast5tolast3only"),
        ("0-3,8", [0, 1, 2, 3, 8], "layers0to3_8only"),
        (" 7 , 3 ", [3, 7], "layers3_7only"),
        ("-4", [layer for layer in range(30) if layer != 4], "layers4spared"),
    ],
)
def test_each_form_stands_for_its_layers_and_has_a_key(text, layers, key):
    found = Layers.parse(text)
    assert list(found.of(30)) == layers
    assert found.key == key


@pytest.mark.parametrize("text", ["all", " all "])
def test_all_layers_are_no_set(text):
    assert Layers.parse(text) is None


@pytest.mark.parametrize(
    "text",
    ["", " ", "x", "1,", ",1", "1-2-3", "--", "-", "1.5", "+1", "-0-", "1--0", "all,1", "-1,2", "12345", "١", "1\n2"],
)
def test_what_is_no_form_is_refused_in_one_line(text):
    with pytest.raises(StudyError) as caught:
        Layers.parse(text)
    message = str(caught.value)
    assert message.startswith(f"layers {text!r}: write layers as ")
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("text", ["4", "0-4", "4-", "-4", "-5-", "0--5"])
def test_a_layer_that_the_model_lacks_is_refused_in_one_line(text):
    with pytest.raises(
        StudyError, match=f"^layers '{text}': the model has 4 layers, 0 to 3; write layers as .*"
    ) as caught:
        Layers.parse(text).of(4)
    assert len(str(caught.value).splitlines()) == 1


def test_a_range_that_runs_backwards_is_refused():
    for text in ("1-0", "0,1-0"):
        with pytest.raises(StudyError, match="1-0 runs backwards in a model of 2 layers; write layers as "):
            Layers.parse(text).of(2)


def test_single_layers_become_ranges_and_a_long_set_is_refused():
    assert Layers.parse("3,1,2,7").text == "1-3,7"
    with pytest.raises(StudyError, match="more than 80 characters"):
        Layers.parse(",".join(map(str, range(0, 120, 2))))


@pytest.mark.parametrize("text", ["-0,-1"])
def test_a_set_without_a_layer_is_refused(text):
    with pytest.raises(StudyError, match=f"^layers '{text}': no layer is left of 2; write layers as "):
        Layers.parse(text).of(2)


def test_numbers_with_zeros_in_front_are_the_same_set():
    assert Layers.parse("01,02-003,1--02") == Layers.parse("1,2-3,1--2")
    assert Layers.parse("-00") == Layers.parse("-0")


@given(TEXTS, TEXTS)
def test_no_key_is_part_of_another_sets_key(first, second):
    """Case ids hold the key between two signs; -k matches without regard to case."""
    one, other = Layers.parse(first), Layers.parse(second)
    assert re.fullmatch("[a-z0-9_]+", one.key)
    if one != other:
        assert one.key not in f"p40-{other.key}-random1-piqa"


def by_a_plain_loop(text, num_layers):
    """The layers of a set, worked out otherwise: each layer is asked for by itself. None if a number is not there."""

    def number(end):
        return int(end) if end[0] != "-" else num_layers - int(end[1:])

    parts = text.split(",")
    if all(re.fullmatch(r"-\d+", part) for part in parts):
        left_out = [int(part[1:]) for part in parts]
        return None if max(left_out) >= num_layers else [n for n in range(num_layers) if n not in left_out]
    found = []
    for layer in range(num_layers):
        for part in parts:
            start, _, stop = re.fullmatch(r"(-?\d+)(-(-?\d+)?)?", part).groups()
            last = number(stop) if stop else num_layers - 1 if part.endswith("-") else number(start)
            if not 0 <= number(start) <= last < num_layers:
                return None
            if number(start) <= layer <= last and layer not in found:
                found.append(layer)
    return found


@given(TEXTS, st.integers(1, 45))
def test_the_layers_are_those_of_a_plain_loop(text, num_layers):
    expected = by_a_plain_loop(text, num_layers)
    if expected:
        assert list(Layers.parse(text).of(num_layers)) == expected
    else:
        with pytest.raises(StudyError):
            Layers.parse(text).of(num_layers)


@given(st.sets(st.integers(0, 60), min_size=1))
def test_ranges_are_read_back_as_the_same_layers(layers):
    assert set(Layers.parse(as_ranges(layers)).of(61)) == layers


@pytest.mark.parametrize(
    ("layers", "text"), [(range(1, 30), "1-29"), ([12, 4, 8], "4,8,12"), ([0, 1, 2, 3, 8], "0-3,8"), ([], "")]
)
def test_ranges_are_short(layers, text):
    assert as_ranges(layers) == text
