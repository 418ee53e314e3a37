"""Serving at saturation: what a record must keep, its rows, and from which batch size on pruning pays."""

import pytest
from serving_records import serving_record, serving_values

from glu_lib.analysis.consolidation import consolidate
from glu_lib.analysis.serving import serving_levels
from glu_lib.errors import RecordError
from glu_lib.report.figures.serving import serving_figures
from glu_lib.report.markdown import markdown_listing
from glu_lib.report.serving_table import pays_text, serving_listings
from glu_lib.report.terminal import record_line, serving_lines
from glu_lib.results.record import sealed
from glu_lib.results.records import parse_record
from glu_lib.results.writing import write_atomically

UNPRUNED = {1: (100, 102, 98), 2: (180, 182, 178), 4: (240, 244, 236), 8: (248, 256, 240)}
# Slower at 1, within the noise at 2, faster from 4 on.
PRUNED = {1: (90, 92, 88), 2: (184, 180, 188), 4: (300, 304, 296), 8: (400, 408, 392)}


def levels(*, unpruned=UNPRUNED, pruned=PRUNED):
    return serving_levels([serving_record(0, unpruned, ("throughput", max(unpruned))), serving_record(40, pruned)])


def test_the_smallest_batch_from_which_on_pruning_is_faster_with_intervals_apart():
    p0, p40 = levels()
    assert (p0.compared_to, p0.pays_from) == (None, None)
    assert (p40.compared_to, p40.pays_from) == (8, 4)
    assert (p40.best.batch_size, p40.best.tokens_per_s) == (8, 400)


def test_faster_at_a_small_batch_only_is_no_beginning():
    """The condition holds from that size on: at the largest common size the levels cannot be told apart."""
    (_, p40) = levels(pruned=PRUNED | {1: (200, 202, 198), 8: (248, 264, 232)})
    assert (p40.compared_to, p40.pays_from) == (8, None)


def test_sizes_that_only_one_level_reached_do_not_count():
    (_, p40) = levels(unpruned={size: UNPRUNED[size] for size in (1, 2)}, pruned=PRUNED | {2: (300, 304, 296)})
    assert (p40.compared_to, p40.pays_from) == (2, 2)


def test_one_repeat_has_no_interval_and_so_no_beginning():
    (_, p40) = serving_levels([serving_record(0, {1: (100,)}), serving_record(40, {1: (900,)})])
    assert (p40.compared_to, p40.pays_from) == (1, None)


def test_p0_measured_with_other_threads_is_no_baseline():
    other = serving_values(0, UNPRUNED)
    other["runtime"]["threads"] = 2
    (_, p40) = serving_levels([parse_record(other), serving_record(40, PRUNED)])
    assert (p40.compared_to, p40.pays_from) == (None, None)


def test_what_else_may_have_made_the_difference_is_said():
    both = [serving_values(0, UNPRUNED), serving_values(40, PRUNED)]
    for values in both:
        values["schedule"] = {"interleaved": True, "orders": [["p0", "p40"]], "reason": None}
        for batch in values["batches"]:
            for repeat in batch["repeats"]:
                repeat["conditions"]["exclusive"] = True
    assert [level.caveat for level in serving_levels(map(parse_record, both))] == ["", ""]
    both[1]["schedule"]["orders"] = [["p40", "p60"]]
    assert serving_levels(map(parse_record, both))[1].caveat == "not in turns with p0"
    both[0]["batches"][1]["repeats"][0]["conditions"]["exclusive"] = False
    (p0, p40) = serving_levels(map(parse_record, both))
    assert (p0.caveat, p40.caveat) == ("", "beside other processes, not in turns with p0")
    assert pays_text(p40) == "from 4 (beside other processes, not in turns with p0)"


def test_the_table_names_throughput_stop_and_beginning():
    (found,) = serving_listings(levels())
    p0, p40 = (dict(zip(found.columns, row, strict=True)) for row in found.rows)
    assert (p0["stopped by"], p0["pruning pays"]) == ("throughput (+3 % at 8)", "–")
    assert p40["tokens/s"] == "400 (380 … 420)"
    assert (p40["batch"], p40["stopped by"], p40["pruning pays"]) == ("8", "largest size asked for (8)", "from 4")
    assert (p40["J per token, gross"], p40["net of idle"]) == ("0.05", "0.0125")
    assert "| p40 | 2.4x | 400 (380 … 420) | 8 |" in markdown_listing(found)
    assert any("from 4" in line for line in serving_lines(levels(), 160))
    nowhere = levels(pruned=UNPRUNED)
    (found,) = serving_listings(nowhere)
    assert found.rows[1][-1] == "nowhere up to 8"


def test_figures_show_every_level_at_every_size():
    speed, energy = serving_figures(levels())
    for figure in (speed, energy):
        assert [row[:3] for row in figure.rows] == [
            (level, ratio, size) for level, ratio in (("p0", "4.0x"), ("p40", "2.4x")) for size in (1, 2, 4, 8)
        ]
        assert "Pruning pays from 4: p40." in figure.caption
        assert len(figure.caption) < 320
    assert speed.columns[3] == "tokens/s"


def test_the_tidy_table_has_a_row_for_each_size_and_metric(tmp_path):
    import json

    for percent, speeds in ((0, UNPRUNED), (40, PRUNED)):
        values = sealed(serving_values(percent, speeds))
        path = tmp_path / f"individual_files/quarter/p{percent}/{values['case']['id']}.json"
        path.parent.mkdir(parents=True)
        write_atomically(path, json.dumps(values).encode())
    found = consolidate(tmp_path)
    assert found.problems == ()
    rows = [row for row in found.rows if row["metric"] == "tokens_per_s"]
    assert len(found.rows) == 2 * 4 * 8
    assert [(row["percent"], row["batch_size"], row["value"]) for row in rows[4:]] == [
        (40, size, PRUNED[size][0] if size != 2 else 184) for size in PRUNED
    ]
    assert [row["baseline"] for row in rows] == [100, 180, 240, 248] * 2  # of the same batch size
    assert [row["peak_memory_bytes"] for row in rows[:4]] == [11, 12, 14, 18]
    assert not any(row["is_headline"] for row in found.rows)
    assert [len(record.batches) for record in found.serving_records] == [4, 4]


def test_a_record_says_its_largest_throughput_in_a_line():
    assert record_line(serving_record(40, PRUNED)) == "at most 400.0 tokens/s, with batch size 8"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: found["batches"].pop(1), r"batches have the sizes \[1, 4, 8\], not 1, 2, 4, …"),
        (lambda found: found["batches"][1].update(batch_size=3), r"sizes \[1, 3, 4, 8\]"),
        (lambda found: found["batches"][1]["repeats"][0].update(rows=4), "batch size 2 has another number of rows"),
        (lambda found: found["stop"].update(batch_size=64), "stop.batch_size is 64, the batches end at 8"),
        (lambda found: found["stop"].update(reason="bored"), "stop.reason is 'bored', not 'throughput', 'memory'"),
        (lambda found: found.update(batches=[]), "batches is empty"),
    ],
)
def test_what_a_record_must_keep(change, message):
    found = serving_values(40, PRUNED)
    change(found)
    with pytest.raises(RecordError, match=message):
        parse_record(found)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda found: found["stop"].update(gain=0.5), "stop.gain is 0.5, its batches give 0.33"),
        (lambda found: found["stop"].update(reason="memory"), "stopped by memory at batch size 8"),
        (
            lambda found: found["batches"][3]["profile"]["tokens_per_s"].update(mean=401.0),
            "mean tokens_per_s is 401.0, its repeats give 400.0",
        ),
        (lambda found: found["batches"][0]["repeats"][0].update(new_tokens=181), "181 tokens, 180 x 1 x 1 = 180"),
    ],
)
def test_figures_that_contradict_each_other_are_told(change, line):
    found = serving_values(40, PRUNED)
    assert parse_record(found).doubts() == []
    change(found)
    assert any(line in doubt for doubt in parse_record(found).doubts())


def test_memory_that_ran_out_stops_at_a_size_without_figures():
    (level,) = serving_levels([serving_record(0, UNPRUNED, ("memory", 16))])
    assert (level.stop_reason, level.stop_batch, level.stop_gain) == ("memory", 16, None)
    assert serving_record(0, UNPRUNED, ("memory", 16)).doubts() == []
