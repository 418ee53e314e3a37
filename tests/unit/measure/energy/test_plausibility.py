import dataclasses

import pytest

from glu_lib.analysis.published.energy_tables import energy_claims, energy_defects, energy_rows
from glu_lib.results.plausibility import WindowClaim, implausible, padded

GOOD = WindowClaim(
    name="x",
    window_s=10.0,
    total_j=600.0,
    parts_j={"gpu": 400.0, "cpu": 150.0, "ram": 50.0},
    limit_w=150.0,
    resolution_s=1.0,
    rows=100,
    passes=2,
    tokens=4000,
    max_new_tokens=20,
    fixed_length=True,
    time_per_output_token_ms=12.0,
)


def test_what_can_be_has_no_line():
    assert list(implausible(GOOD)) == []
    assert list(implausible(dataclasses.replace(GOOD, total_j=None, parts_j={"gpu": None}, tokens=None))) == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"window_s": 0.0}, "x: a window of 0.0 s; it must be above 0"),
        ({"window_s": 0.5, "limit_w": None}, "x: a window of 0.5 s is shorter than the counter's step, 1 s"),
        ({"total_j": 0.0, "parts_j": {}}, "x: total energy 0.0 J; a missing figure is null, never 0"),
        ({"parts_j": {"gpu": 600.0, "cpu": 0.0}}, "x: cpu energy 0.0 J; a missing figure is null, never 0"),
        (
            {"total_j": 209.5},
            "x: its parts add up to 600 J, its total says 209.5 J (factor 2.864): they differ in unit ",
        ),
        ({"total_j": 6.0, "parts_j": {}}, "x: 0.6 W on average; no machine draws so little"),
        ({"limit_w": 50.0}, "x: 60 W on average, the hardware's limits add up to 50 W"),
        ({"tokens": 3900}, "x: 3900 tokens, 2 x 100 x 20 = 4000 were requested"),
        ({"tokens": 4001, "fixed_length": False}, "x: 4001 tokens where at most 4000 could be generated"),
        (
            {"time_per_output_token_ms": -3.0},
            "x: -3 ms per output token; first and later tokens are not of the same pass",
        ),
    ],
)
def test_each_impossible_figure_has_its_line(change, line):
    found = list(implausible(dataclasses.replace(GOOD, **change)))
    assert any(text.startswith(line) for text in found), found


def test_padding_shows_beside_the_same_prompts_one_at_a_time():
    single = dataclasses.replace(GOOD, name="b1", tokens=1000, fixed_length=False)
    batched = dataclasses.replace(GOOD, name="b8", tokens=2900, fixed_length=False)
    (line,) = padded({("w",): (single, batched)})
    assert line.startswith("b8: 14.5 tokens per answer, 5.0 one prompt at a time; padding")
    assert list(padded({("w",): (batched, single)})) == []


def test_the_published_energy_table_is_flagged_for_its_unit_and_its_padding():
    defects = energy_defects("energy_1b")
    unit = [line for line in defects if "they differ in unit" in line]
    assert len(unit) == 126  # each row: kg CO2e printed as kWh
    assert all("(factor 2.863)" in line for line in unit)
    padding = [line for line in defects if "padding after the end of the text was counted" in line]
    assert {line.split("-")[3].split(":")[0] for line in padding} == {
        "hellaswag_throughput_b8",
        "mmlu_throughput_b8",
        "ifeval_throughput_b8",
    }
    assert len(padding) == 27


def test_in_true_units_the_published_energy_is_plausible():
    rows = energy_rows("energy_1b")
    restated = [row | {"published_raw": row["codecarbon_total_kwh"]} for row in rows]
    assert [line for claim in energy_claims(restated).values() for line in implausible(claim)] == []


def test_without_its_parts_the_unit_of_the_3b_table_cannot_show():
    assert len(energy_rows("energy_3b")) == 126
    assert not [line for line in energy_defects("energy_3b") if "they differ in unit" in line]
