import csv
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glu_lib.errors import StudyError
from glu_lib.study import STUDY
from glu_lib.study.architecture import format_ratio, pruned_width

PUBLISHED = list(csv.DictReader((files("glu_lib.analysis.published") / "architecture.csv").read_text().splitlines()))
KEYS = {"llama1b": "llama1b", "llama1b-instruct": "instruct1b", "llama3b": "llama3b"}


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row['model']}-p{row['pruning_pct']}")
def test_declared_shapes_give_the_published_widths_and_counts(row):
    shape = STUDY.models[KEYS[row["model"]]].architecture
    width = pruned_width(shape.intermediate_size, int(row["pruning_pct"]))
    assert width == int(row["intermediate_size"])
    assert shape.parameters(width) == int(row["parameters"])
    assert round(width / shape.hidden_size, 6) == float(row["expansion_ratio"])


def test_the_published_table_is_whole():
    assert len(PUBLISHED) == 18


@given(st.integers(100, 20_000), st.integers(0, 95), st.integers(0, 95))
def test_more_pruning_never_leaves_more_neurons(size, a, b):
    low, high = sorted((a, b))
    assert 1 <= pruned_width(size, high) <= pruned_width(size, low) <= size


@given(st.integers(256, 20_000), st.integers(1, 60), st.sampled_from([32, 64]))
def test_a_divisor_rounds_down_to_its_multiple(size, percent, divisor):
    width = pruned_width(size, percent, divisor)
    assert width % divisor == 0
    assert 0 <= pruned_width(size, percent) - width < divisor


def test_the_baseline_is_never_rounded():
    assert pruned_width(500, 0, 128) == 500


def test_a_divisor_that_leaves_nothing_is_refused():
    with pytest.raises(StudyError, match="divisor 256: only 200 of 500 neurons stay at 60 %.*smaller divisor"):
        pruned_width(500, 60, 256)


def test_ratios_are_printed_as_the_study_prints_them():
    assert format_ratio(4916 / 2048) == "2.4x"
