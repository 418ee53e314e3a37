import dataclasses

import pytest
from made_records import made_record

from glu_lib.analysis import HeadlineTable
from glu_lib.report import markdown_table, number, record_line, terminal_lines
from glu_lib.wording import duration


def row(percent, value, relative=None, energy_j=12.5):
    return {
        "percent": percent,
        "value": value,
        "relative_delta": relative,
        "metric": "acc",
        "higher_is_better": True,
        "energy_j": energy_j,
        "energy_quality": "estimated" if energy_j else None,
        "window_s": 75.0,
    }


TABLE = HeadlineTable(
    model="nano",
    method="PPM",
    divisor=None,
    layers=None,
    limit=None,
    levels=((0, 4.0), (40, 2.40625)),
    tasks=("facts", "sums"),
    cells={("facts", 0): row(0, 0.98, 0.0), ("facts", 40): row(40, 0.49, -0.5), ("sums", 0): row(0, 1.0, 0.0, None)},
)


def test_markdown_has_ratios_as_rows_and_changes_in_brackets():
    assert markdown_table(TABLE).splitlines() == [
        "| level | expansion ratio | facts (acc ↑) | sums (acc ↑) |",
        "| --- | --- | --- | --- |",
        "| p0 | 4.0x | 0.980 | 1.000 |",
        "| p40 | 2.4x | 0.490 (−50 %) | – |",
    ]


def test_marks_say_what_is_significant_and_what_only_guesses_and_the_notes_explain_them():
    cells = TABLE.cells | {("facts", 40): row(40, 0.26, -0.73) | {"p_holm": 0.049, "is_blind": True}}
    marked = dataclasses.replace(TABLE, cells=cells | {("sums", 40): row(40, 0.9, -0.1) | {"p_holm": 0.051}})
    text = markdown_table(marked)
    assert "| p40 | 2.4x | 0.260 (−73 %*°) | 0.900 (−10 %) |" in text
    assert "\n* differs from p0, p < 0.05 after Holm's correction over all levels and tasks of the table.\n" in text
    assert "\n° not shown to be better than the best answer that does not follow the question (blind).\n" in text
    assert "−73 %*°" in "\n".join(terminal_lines(marked, 80))


def test_the_terminal_shows_scores_changes_and_joules_within_its_width():
    lines = terminal_lines(TABLE, 80)
    text = "\n".join(lines)
    assert all(len(line) <= 80 for line in lines)
    for part in (
        "0.490",
        "−50 %",
        "4.0x",
        "energy per case in joules (some estimated, some not available), and time",
        "12.5",
        "1 min 15 s",
        "–",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.12345, "0.123"),
        (9.9999, "10.000"),
        (12.345, "12.35"),
        (75.123, "75.12"),
        (12345.6, "12,346"),
        (1234567.8, "1.235e+06"),
        (None, "–"),
    ],
)
def test_scores_have_a_fixed_number_of_digits(value, text):
    assert number.score(row(0, value)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3.14, "3.1 s"), (59.94, "59.9 s"), (80, "1 min 20 s"), (3599.7, "1 h 0 min"), (7500, "2 h 5 min")],
)
def test_durations_read_as_a_person_says_them(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("change", "text"), [(0.4, "0 %"), (-0.4, "0 %"), (0.6, "+1 %"), (-12.3, "−12 %"), (6.7e13, "+6.7e+13 %")]
)
def test_changes_are_signed_unless_they_round_to_zero(change, text):
    assert number.percent(change) == text


@pytest.mark.parametrize(("joules", "text"), [(None, "–"), (0.01234, "0.0123"), (12.34, "12.3"), (12345.6, "12,346")])
def test_joules_have_three_digits(joules, text):
    assert number.joules(joules) == text


def test_a_record_is_told_in_a_few_words():
    assert record_line(made_record({"score": {"headline": {"label": "acc", "value": 0.5}}})) == "acc 0.500"
    energy = made_record({}, "energy")
    assert record_line(energy) == f"{energy.profile.tokens_per_s.mean:.1f} tokens/s"
    architecture = {"pruning": {"expansion_ratio": 2.4004, "parameters": 913770496}}
    assert record_line(made_record(architecture, "architecture")) == "2.4x, 913,770,496 parameters"


def test_prompts_that_lost_their_beginning_are_said_below_the_table():
    cells = {key: found | {"truncated_prompts": 4 * (key == ("facts", 40))} for key, found in TABLE.cells.items()}
    table = dataclasses.replace(TABLE, cells=cells)
    note = "rompts longer than the model's context, scored without their beginning: facts p40 4"
    assert markdown_table(table).endswith(f"\n\nP{note}.\n")
    assert f"p{note}" in " ".join(terminal_lines(table, 80))


def test_cases_without_joules_are_named_with_the_reason():
    place = TABLE.tasks[0], TABLE.levels[-1][0]
    row = TABLE.cells[place] | {"energy_j": None, "energy_reason": "beside others; let them end"}
    lines = terminal_lines(dataclasses.replace(TABLE, cells=TABLE.cells | {place: row}), 120)
    assert f"no joules: {place[0]} p{place[1]}: beside others; let them end" in lines
