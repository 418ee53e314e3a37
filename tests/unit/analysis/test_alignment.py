import math

import pytest
from made_records import made_record

from glu_lib.analysis import aligned_pairs
from glu_lib.report import markdown_alignment
from glu_lib.results.records import EnergyRecord


def record(
    percent: int, divisor: int | None, width: int, times: list[float], changes: dict | None = None, **key: object
) -> EnergyRecord:
    """An energy record with these values in the fields that the comparison reads."""
    found = {
        "kind": "energy",
        "case": {"model": "mine", "percent": percent, "divisor": divisor, "subject": "decode_b1"},
        "done_key": {"percent": percent, "divisor": divisor, "workload": "decode_b1", "device": "cpu", **key},
        "pruning": {"width": width, "expansion_ratio": width / 100, "parameters": 1000 + width},
        "runtime": {"threads": 1},
        "schedule": {"interleaved": True, "orders": [["p0", "p40", "p40d128"]], "reason": None},
        "repeats": [
            {
                "seed": seed,
                "time_to_first_token_ms": 2 * value,
                "time_per_output_token_ms": value,
                "energy_per_response_j": None,
                "passes": 2,
                "rows": 5,
                "energy": {"window_s": value, "quality": "estimated"},
            }
            for seed, value in enumerate(times)
        ],
    }
    return made_record(found | (changes or {}), "energy")


UNPRUNED = record(0, None, 400, [10.0, 20.0, 40.0])
PLAIN = record(40, None, 240, [9.0, 18.0, 36.0])
ALIGNED = record(40, 128, 128, [4.5, 9.0, 18.0])


def test_ratios_are_of_repeats_with_the_same_seed():
    pairs = aligned_pairs([UNPRUNED, PLAIN, ALIGNED])
    assert [pair.figure for pair in pairs] == [
        "time_per_response_ms",
        "time_to_first_token_ms",
        "time_per_output_token_ms",
    ]  # no joules: null
    assert pairs[0].plain == pytest.approx(1000 * 21.0 / 10)  # the window over two passes of five rows
    pair = pairs[2]
    assert (pair.level, pair.divisor, pair.width, pair.aligned_width) == (40, 128, 240, 128)
    assert (pair.plain, pair.aligned) == (21.0, 10.5)
    # The repeats differ fourfold, their ratios not at all: the interval is a point.
    found = pair.aligned_to_plain
    assert (found.mean, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))
    assert pair.plain_to_unpruned.mean == pytest.approx(0.9)
    assert pair.aligned_to_unpruned.mean == pytest.approx(0.45)
    assert pair.parameters_ratio == 1128 / 1240


def test_the_interval_is_students_over_the_logarithms_of_the_ratios():
    pair = aligned_pairs([PLAIN, record(40, 128, 128, [9.0, 9.0, 36.0])])[2]
    # logarithms 0, ln 0.5, 0: mean ln(0.5)/3, s = ln(2)/√3, t(0.975, 2) = 4.302653
    half = 4.302653 * math.log(2) / 3
    assert pair.aligned_to_plain.mean == pytest.approx(0.5 ** (1 / 3))
    assert pair.aligned_to_plain.low == pytest.approx(0.5 ** (1 / 3) * math.exp(-half), rel=1e-6)
    assert pair.aligned_to_plain.high == pytest.approx(0.5 ** (1 / 3) * math.exp(half), rel=1e-6)
    assert pair.plain_to_unpruned is None


@pytest.mark.parametrize("other", [{"device": "another"}, {"torch": "2.9"}, {"limit": 8}])
def test_what_ran_under_other_conditions_is_not_paired(other):
    assert not aligned_pairs([PLAIN, record(40, 128, 128, [1.0, 1.0, 1.0], **other)])


@pytest.mark.parametrize(
    "other",
    [{"runtime": {"threads": 2}}, {"schedule": {"interleaved": False, "orders": [["p40d128"]], "reason": "alone"}}],
)
def test_what_did_not_take_turns_or_had_other_threads_is_not_paired(other):
    assert not aligned_pairs([PLAIN, record(40, 128, 128, [4.5, 9.0, 18.0], other)])


def test_without_rounded_levels_there_is_nothing_to_compare():
    assert not aligned_pairs([UNPRUNED, PLAIN])


def test_the_table_says_what_was_divided_by_what():
    text = markdown_alignment(aligned_pairs([UNPRUNED, PLAIN, ALIGNED]))
    assert "**mine, decode_b1, divisor 128, decoding: time per output token, ms**" in text
    assert "| p40 | 240 | 128 | 21 | 10.5 | 0.500 (0.50 … 0.50) | 0.910 | 0.900 (0.90 … 0.90) |" in text
