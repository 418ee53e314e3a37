"""Size and cost of levels, from the record or from the built-in shape; means over the same tasks only."""

import pytest
from committed import concluded
from made_records import made_record

from glu_lib.analysis import headline_tables
from glu_lib.analysis.level_sizes import level_sizes, zero_shot_sets
from glu_lib.analysis.record_rows import rows_of
from glu_lib.analysis.zero_shot import ZERO_SHOT_TASKS, add_zero_shot_means
from glu_lib.report import markdown_sizes, terminal_lines
from glu_lib.report.size_table import size_listing, size_notes

COSTS = (
    "prefill_macs_per_token",
    "decode_macs_per_token",
    "kv_cache_bytes_per_token",
    "weights_bytes",
    "peak_memory_bytes",
)
ATTENTION = {"num_heads": 4, "num_kv_heads": 2, "head_dim": 32, "vocab_size": 552}


def costs_of(changes, kind="accuracy"):
    row = rows_of(made_record(changes, kind), "path", [])[0]
    return tuple(row[name] for name in COSTS)


def test_an_earlier_record_of_a_built_in_model_has_the_costs_of_its_shape():
    earlier = costs_of({})
    assert earlier == costs_of({"pruning": {"attention": ATTENTION, "widths": [made_record({}).pruning.width] * 4}})
    products = made_record({}).pruning.parameters - 9 * 128  # all weights but those of the norms
    per_key = 2 * 4 * 4 * 32  # twice, 4 layers of 4 heads of 32
    assert earlier[:3] == (products + per_key * 2049 // 2, products + per_key * 2048, 2 * 4 * 2 * 32 * 4)
    assert earlier[4] is None  # was not measured


@pytest.mark.parametrize(
    "changes",
    [
        {"pruning": {"attention": None}},
        {"done_key": {"model": "another/model"}},
        {"pruning": {"parameters": 1}},
        {"case": {"model": "mine"}},
    ],
)
def test_without_a_certain_shape_there_are_no_macs(changes):
    assert costs_of(changes)[:3] == (None, None, None)


def test_peak_memory_is_that_of_scoring_or_of_generation():
    peak = {"source": "resident set", "before_bytes": 1, "peak_bytes": 2000, "reason": None}
    assert costs_of({"scoring_memory": peak})[4] == 2000
    assert costs_of({"scoring_memory": {**peak, "peak_bytes": None, "reason": "not told"}})[4] is None
    assert costs_of({"generation_memory": peak}, "energy")[4] == 2000


def test_weights_take_the_bytes_of_the_runs_dtype():
    record = made_record({})
    assert costs_of({})[3] == 4 * record.pruning.parameters
    assert costs_of({"environment": {"dtype": "bfloat16"}})[3] == 2 * record.pruning.parameters
    assert costs_of({"environment": {"dtype": "int3"}})[3] is None


ROW = {
    "model": "m",
    "control": None,
    "method": None,
    "divisor": None,
    "layers": None,
    "limit": None,
    "weights": "real",
    "kind": "accuracy",
    "num_fewshot": 0,
    "prompt_format": "plain",
    "is_headline": True,
    "higher_is_better": True,
    "metric": "acc",
    "filter": "none",
    "chance": 0.5,
    "expansion_ratio": 4.0,
    "dtype": "float32",
    "zero_shot_mean": None,
    "zero_shot_tasks": None,
    "parameters": 1000,
}


def row(task, value, percent=0, **changes):
    return ROW | {"subject": task, "task": task, "value": value, "percent": percent} | changes


def test_the_mean_is_over_the_tasks_that_papers_average():
    rows = [row(task, value) for task, value in zip(ZERO_SHOT_TASKS, (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7), strict=True)]
    rows += [row("mmlu", 0.9), row("boolq", 0.9, metric="f1", is_headline=False)]
    add_zero_shot_means(rows)
    assert [one["zero_shot_mean"] for one in rows] == [pytest.approx(0.4)] * 9
    assert {one["zero_shot_tasks"] for one in rows} == {" ".join(ZERO_SHOT_TASKS)}


@pytest.mark.parametrize(
    "changes",
    [
        {"num_fewshot": 5},
        {"prompt_format": "chat"},
        {"value": None},
        {"percent": 10},
        {"limit": 4},
        {"dtype": "bfloat16"},
    ],
)
def test_other_prompts_levels_and_limits_do_not_enter_a_mean(changes):
    rows = [row("boolq", 0.5), row("piqa", 0.7), row("winogrande", 0.1) | changes]
    add_zero_shot_means(rows)
    assert rows[0]["zero_shot_mean"] == pytest.approx(0.6)
    assert rows[0]["zero_shot_tasks"] == "boolq piqa"


def table_of(rows):
    add_zero_shot_means(rows)
    (table,) = headline_tables(rows)
    return table


def test_a_table_shows_the_mean_with_its_tasks_and_the_change():
    pruned = [row("boolq", 0.4, 40, baseline=0.8), row("piqa", 0.3, 40, baseline=0.6)]
    table = table_of([row("boolq", 0.8), row("piqa", 0.6), *pruned])
    assert [size.zero_shot_mean for size in level_sizes(table)] == [pytest.approx(0.7), pytest.approx(0.35)]
    listing = size_listing(table)
    assert listing.columns[-1] == "zero-shot mean"
    assert [line[-1] for line in listing.rows] == ["0.700", "0.350 (−50 %)"]
    (note,) = [note for note in size_notes(table) if "mean" in note]
    assert note == "zero-shot mean of boolq (acc), piqa (acc); guessing gets 0.500; it has no interval of its own"


def test_a_mean_whose_tasks_were_measured_otherwise_than_p0_has_no_change():
    pruned = [row("boolq", 0.4, 40, baseline=0.8), row("piqa", 0.3, 40, baseline=None)]
    listing = size_listing(table_of([row("boolq", 0.8), row("piqa", 0.6), *pruned]))
    assert [line[-1] for line in listing.rows] == ["0.700", "0.350"]


def test_a_mean_whose_task_has_no_cell_has_no_change():
    pruned = [row("boolq", 0.4, 40, baseline=0.8), row("piqa", 0.3, 40, baseline=0.6)]
    table = table_of([row("boolq", 0.8), row("piqa", 0.6), *pruned]).with_tasks(["boolq"])
    assert [size.zero_shot_mean for size in level_sizes(table)] == [pytest.approx(0.7), pytest.approx(0.35)]
    assert [size.zero_shot_change for size in level_sizes(table)] == [None, None]


def test_a_task_of_another_dtype_beside_the_seven_leaves_the_mean_as_it_is():
    rows = [row(task, 0.5, percent) for task in ("boolq", "piqa") for percent in (0, 40)]
    rows += [row("ifeval", 0.2, percent, dtype="bfloat16") for percent in (0, 40)]
    assert [size.zero_shot_mean for size in level_sizes(table_of(rows))] == [0.5, 0.5]
    mixed = [row("boolq", 0.5), row("piqa", 0.5), row("boolq", 0.5, 40), row("piqa", 0.5, 40, dtype="bfloat16")]
    assert [size.zero_shot_mean for size in level_sizes(table_of(mixed))] == [None, None]


def test_levels_with_other_tasks_have_no_mean_in_a_table():
    table = table_of([row("boolq", 0.8), row("piqa", 0.6), row("boolq", 0.6, 40), row("winogrande", 0.5, 40)])
    assert [size.zero_shot_mean for size in level_sizes(table)] == [None, None]
    assert len(zero_shot_sets(table)) == 2
    assert "zero-shot mean" not in size_listing(table).columns
    assert any(note.startswith("no zero-shot mean: the levels do not have the same") for note in size_notes(table))


def test_the_committed_records_have_sizes_in_every_table():
    (table,) = [table for table in headline_tables(concluded("nano").rows) if table.method == "PPM"]
    sizes = level_sizes(table)
    assert [size.parameters for size in sizes] == sorted((size.parameters for size in sizes), reverse=True)
    assert all(size.weights_bytes == 4 * size.parameters for size in sizes)
    assert {size.kv_cache_bytes_per_token for size in sizes} == {4 * 2 * 2 * 32 * 4}
    text = markdown_sizes(table)
    assert text.startswith("**nano: size and cost of each level**\n\n| level | expansion ratio | parameters | MACs per")
    assert "| p0 | 4.0x | 1.05 M |" in text
    assert "Weights and KV cache in float32." in text
    lines = terminal_lines(table, 100)
    assert any(line.startswith(" KV cache") and line.count("2.05 kB") == 7 for line in lines)


def test_a_table_without_any_figure_has_no_sizes():
    table = table_of([row("sums", 0.5, parameters=None)])
    assert size_listing(table) is None
    assert markdown_sizes(table) == ""
