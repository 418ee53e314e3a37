import csv
import json

import pandas
import pytest
from made_records import merged, record_values

from glu_lib.analysis import COLUMNS, consolidate, headline_tables, workload_tables, write_tables
from glu_lib.errors import RecordError
from glu_lib.report import workload_lines


def fields(percent, value, *, limit=None, task="facts", model="nano", few_shot=0, method="PPM"):
    level = f"p{percent}"
    metric = {"task": f"nano_{task}", "metric": "acc", "filter": "none", "value": value, "stderr": 0.01, "count": 500}
    return {
        "case": {
            "id": f"{model}-{level}-{task}",
            "model": model,
            "percent": percent,
            "level": level,
            "method": method if percent else None,
            "divisor": None,
            "subject": task,
            "suites": ["embedded"],
        },
        "done_key": {"schema": 1, "limit": limit, "few-shot": few_shot, "percent": percent, "task": task},
        "pruning": {"width": 512 - percent, "expansion_ratio": (512 - percent) / 128, "parameters": 1000 - percent},
        "score": {"headline": metric | {"higher_is_better": True, "chance": 0.25, "label": "acc"}, "metrics": [metric]},
        "energy": {"total_j": 12.5, "quality": "estimated", "window_s": 2.0},
        "conditions": {"exclusive": True},
        "timing": {"started_at": "2026-01-01T00:00:00+00:00"},
        "environment": {"dtype": "float32", "gpu": None, "cpu": "some cpu", "git_commit": None},
    }


def record(percent, value, **options):
    return record_values(fields(percent, value, **options))


@pytest.fixture
def results(tmp_path):
    def write(*records):
        for found in records:
            case, limit = found["case"], found["done_key"]["limit"]
            folder = tmp_path / "individual_files" / case["model"] / case["level"]
            folder.mkdir(parents=True, exist_ok=True)
            name = f"{case['id']}{f'-limit{limit}' if limit else ''}.json"
            (folder / name).write_text(json.dumps(found))
        return tmp_path

    return write


def test_each_level_is_compared_with_its_own_baseline(results):
    rows = consolidate(
        results(record(0, 0.8), record(40, 0.6), record(0, 0.5, task="sums"), record(40, 0.1, task="sums"))
    ).rows
    found = {row["case"]: row for row in rows}
    assert found["nano-p40-facts"]["baseline"] == 0.8
    assert found["nano-p40-facts"]["delta"] == pytest.approx(-0.2)
    assert found["nano-p40-facts"]["relative_delta"] == pytest.approx(-0.25)
    assert found["nano-p40-sums"]["relative_delta"] == pytest.approx(-0.8)
    assert found["nano-p0-facts"]["delta"] == 0


@pytest.mark.parametrize("other", [{"limit": 8}, {"few_shot": 5}, {"model": "other"}])
def test_a_baseline_of_another_measurement_does_not_count(results, other):
    rows = consolidate(results(record(0, 0.8, **other), record(40, 0.6))).rows
    assert next(row for row in rows if row["percent"] == 40)["baseline"] is None


def test_a_baseline_of_zero_has_no_relative_change(results):
    rows = consolidate(results(record(0, 0.0), record(40, 0.1))).rows
    found = next(row for row in rows if row["percent"] == 40)
    assert (found["delta"], found["relative_delta"]) == (0.1, None)


def test_unreadable_records_are_named_and_left_as_they_are(results):
    root = results(record(0, 0.8))
    folder = root / "individual_files/nano/p0"
    broken = {"torn.json": '{"done_key"', "foreign.json": "[]", "old.json": '{"done_key": {}}'}
    for name, text in broken.items():
        (folder / name).write_text(text)
    found = consolidate(root)
    assert [row["case"] for row in found.rows] == ["nano-p0-facts"]
    assert len(found.problems) == 3
    assert all(any(name in problem for problem in found.problems) for name in broken)
    assert {name: (folder / name).read_text() for name in broken} == broken


def test_csv_and_json_hold_the_same_columns_and_numbers(results):
    root = results(record(0, 1 / 3), record(40, 0.1))
    csv_path, json_path, parquet_path = write_tables(root, consolidate(root).rows)
    parquet = pandas.read_parquet(parquet_path)
    assert list(parquet.columns) == list(COLUMNS)
    assert list(parquet["value"]) == [1 / 3, 0.1]
    assert parquet["limit"].isna().all()
    assert parquet["is_headline"].dtype == bool
    rows = list(csv.DictReader(csv_path.read_text().splitlines()))
    values = json.loads(json_path.read_text())
    assert list(rows[0]) == list(values[0]) == list(COLUMNS)
    assert [float(row["value"]) for row in rows] == [row["value"] for row in values] == [1 / 3, 0.1]
    assert rows[0]["limit"] == ""
    assert values[0]["limit"] is None


@pytest.mark.parametrize("value", [1, 2**53 + 1, 2**63, 10**40])
def test_integers_of_any_size_fit_in_columns_of_floats(results, value):
    root = results(record(0, value))
    _, json_path, parquet_path = write_tables(root, consolidate(root).rows)
    assert json.loads(json_path.read_text())[0]["value"] == value
    assert list(pandas.read_parquet(parquet_path)["value"]) == [float(value)]


def test_no_folder_is_one_line(tmp_path):
    with pytest.raises(RecordError, match="is not a folder; name the results folder of a run"):
        consolidate(tmp_path / "nothing")


def test_an_empty_folder_gives_no_rows(tmp_path):
    assert consolidate(tmp_path).rows == ()


def test_quick_looks_and_methods_have_tables_of_their_own(results):
    root = results(record(0, 0.8), record(40, 0.6), record(0, 0.9, limit=8), record(40, 0.5, limit=8))
    tables = headline_tables(consolidate(root).rows)
    assert [(table.limit, table.cells["facts", 40]["value"]) for table in tables] == [(8, 0.5), (None, 0.6)]
    random = [
        row | {"method": "random"} if row["percent"] else row for row in consolidate(root).rows if not row["limit"]
    ]
    tables = headline_tables([*(row for row in consolidate(root).rows if not row["limit"]), *random])
    assert [(table.method, sorted(table.cells)) for table in tables] == [
        ("PPM", [("facts", 0), ("facts", 40)]),
        ("random", [("facts", 0), ("facts", 40)]),
    ]


def test_a_baseline_alone_has_a_table(results):
    (table,) = headline_tables(consolidate(results(record(0, 0.8))).rows)
    assert table.levels == ((0, 4.0),)


def test_tasks_stand_in_the_studys_order(results):
    root = results(*(record(0, 0.5, task=task) for task in ("zebra", "truth", "facts", "sums")))
    (table,) = headline_tables(consolidate(root).rows)
    assert table.tasks == ("facts", "sums", "truth", "zebra")


def workload_record(percent, joules, **changes):
    found = fields(percent, 0.0)
    subject = "facts_latency_b1"
    nothing = {"energy_j": None, "source": None, "quality": None}
    window = {"window_s": 1.0, "quality": "estimated", "total_j": None}
    repeat = {
        "seed": 42,
        "passes": 1,
        "rows": 8,
        "new_tokens": 16,
        "energy_per_response_j": None,
        "time_to_first_token_ms": None,
        "time_per_output_token_ms": None,
        "energy": window | dict.fromkeys(("gpu", "cpu", "ram"), nothing),
    }
    found |= {"repeats": [repeat], "runtime": {"threads": 1}, "weights": "real", "idle": None, "schedule": None}
    found["case"] |= {"subject": subject, "id": f"nano-p{percent}-{subject}"}
    found["done_key"] |= {"weights": "real"}
    summary = {"mean": joules, "standard_deviation": 0.1, "interval_low": joules - 0.2, "interval_high": joules + 0.2}
    known = {name: {**summary, "n": 3} for name in ("energy_per_token_j", "tokens_per_s")}
    others = ("net_energy_per_token_j", "energy_per_response_j", "time_to_first_token_ms", "time_per_output_token_ms")
    found["profile"] = known | {name: {"mean": None, "n": 0} for name in others}
    del found["score"], found["energy"], found["conditions"]
    return record_values(found | changes, "energy")


def test_workloads_have_a_table_per_figure_and_none_among_the_scores(results):
    rows = consolidate(results(workload_record(0, 0.5), workload_record(40, 0.4), record(0, 0.8))).rows
    assert [table.tasks for table in headline_tables(rows)] == [("facts",)]
    tables = workload_tables(rows)
    titles = [table.title for table in tables if any(row["value"] is not None for row in table.cells.values())]
    assert titles == ["nano, joules per token, gross (estimated)", "nano, throughput"]
    cell = tables[0].cells["facts_latency_b1", 40]
    assert (cell["value"], cell["metric"], cell["energy_quality"]) == (0.4, "J", "estimated")
    assert cell["relative_delta"] == pytest.approx(-0.2)
    assert (cell["interval_low"], cell["interval_high"], cell["n"]) == (pytest.approx(0.2), pytest.approx(0.6), 3)
    (speed,) = [table for table in tables if table.figure == "throughput"]
    assert speed.cells["facts_latency_b1", 40]["higher_is_better"]
    text = "\n".join(workload_lines(tables[0], 80))
    assert text.startswith(
        "nano, joules per token, gross (estimated): mean over the repeats ± half of its 95 % interval, change"
    )
    assert "−20 %" in text


def test_levels_that_did_not_take_turns_are_named_below_the_table(results):
    together = {"schedule": {"interleaved": True, "orders": [["p0", "p40"]], "reason": None}}
    alone = {"schedule": {"interleaved": False, "orders": [["p40"]], "reason": "alone"}}
    for other, count in ((together, 0), (alone, 1)):
        rows = consolidate(results(workload_record(0, 0.5) | together, workload_record(40, 0.4) | other)).rows
        assert [len(table.notes) for table in workload_tables(rows)] == [count] * 5
    assert workload_tables(rows)[0].notes[0].endswith("an effect of pruning: facts_latency_b1")
    assert "levels that did not take turns" in " ".join(workload_lines(workload_tables(rows)[0], 80))


def test_another_number_of_threads_is_no_baseline(results):
    other = workload_record(40, 0.4, runtime={"threads": 2})
    rows = consolidate(results(workload_record(0, 0.5), other)).rows
    assert {row["baseline"] for row in rows if row["percent"]} == {None}


def test_an_energy_record_without_repeats_is_named(results):
    found = consolidate(results(workload_record(0, 0.5, repeats=[])))
    assert "repeats is empty; run the case again" in found.problems[0]


def test_of_copies_of_one_case_the_newest_counts_and_the_others_are_named(results):
    root = results(record(0, 0.8))
    folder = root / "individual_files/nano/p0"
    newer = merged(record(0, 0.9), {"timing": {"started_at": "2026-02-01T00:00:00+00:00"}})
    (folder / "nano-p0-facts (1).json").write_text(json.dumps(newer))
    found = consolidate(root)
    assert [row["value"] for row in found.rows] == [0.9]
    (line,) = found.problems
    own, copy = folder / "nano-p0-facts.json", folder / "nano-p0-facts (1).json"
    assert line == f"{own}: {copy} is of the same case and is used; delete this copy"
    assert len(list(folder.iterdir())) == 2


def test_a_record_in_the_place_of_another_never_counts_against_its_own_place(results):
    root = results(record(0, 0.8), record(20, 0.7))
    own, wrong = (root / f"individual_files/nano/p{level}/nano-p{level}-facts.json" for level in (20, 0))
    wrong.write_bytes(own.read_bytes())
    found = consolidate(root)
    assert [row["record"] for row in found.rows] == ["individual_files/nano/p20/nano-p20-facts.json"]
    assert found.problems == (f"{wrong}: {own} is of the same case and is used; delete this copy",)


def test_a_record_of_another_schema_is_named_and_left_out(results):
    older = record(40, 0.6)
    older["done_key"]["schema"] = 0
    found = consolidate(results(record(0, 0.8), older))
    assert [row["case"] for row in found.rows] == ["nano-p0-facts"]
    assert "a record of schema 0, this version reads 1; run the case again" in found.problems[0]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_has_no_number_for_is_named_and_left_out(results, value):
    found = consolidate(results(record(0, 0.8), record(40, value)))
    assert [row["case"] for row in found.rows] == ["nano-p0-facts"]
    assert "is not a number that records may hold" in found.problems[0]


@pytest.mark.parametrize("value", ["0.5", True, [1]])
def test_what_is_no_finite_number_is_named_and_left_out(results, value):
    found = consolidate(results(record(0, 0.8), record(40, value)))
    assert [row["case"] for row in found.rows] == ["nano-p0-facts"]
    assert f"value is {value!r}, not a finite number" in found.problems[0]


def test_random_weights_among_real_ones_are_left_out_and_alone_are_shown(results):
    random = record(40, 0.6, task="sums")
    random["done_key"]["weights"] = "random"
    assert [row["weights"] for row in consolidate(results(random)).rows] == ["random"]
    found = consolidate(results(record(0, 0.8)))
    assert [row["weights"] for row in found.rows] == ["real"]
    assert "random weights among real weights; move it to another results folder" in found.problems[0]


def test_rows_of_one_set_up_share_their_run(results):
    other = record(40, 0.6)
    other["environment"] = other["environment"] | {"git_commit": "abc"}
    rows = consolidate(results(record(0, 0.8), record(20, 0.7), other)).rows
    first, second, third = (row["run"] for row in rows)
    assert first == second != third


def window(gpu_j, source="nvml", **fields):
    """An energy window as earlier versions recorded it: its total is the sum of what is known."""
    reason = None if gpu_j else "the counter did not advance in this window"
    parts = {
        "gpu": {"energy_j": gpu_j, "source": source, "quality": "measured", "reason": reason},
        "cpu": {"energy_j": 10.0, "source": "cpu_load", "quality": "estimated", "reason": None},
        "ram": {"energy_j": 20.0, "source": "ram_model", "quality": "estimated", "reason": None},
    }
    whole = {"window_s": 1.0, "quality": "estimated", "total_j": (gpu_j or 0.0) + 30.0, "total_reason": None}
    return whole | parts | fields


ON_GPU = {"environment": {"dtype": "bfloat16", "gpu": "L4", "cpu": "some cpu", "git_commit": None, "device": "cuda"}}


def test_a_total_without_the_gpu_enters_no_table_and_the_score_does(results):
    folder = results(merged(record(0, 0.8), ON_GPU | {"energy": window(None)}))
    found = consolidate(folder)
    (row,) = found.rows
    assert (row["value"], row["energy_j"], row["energy_quality"]) == (0.8, None, None)
    (problem,) = found.problems
    assert problem.endswith(
        "nano-p0-facts.json: its energy has a total without the GPU (the counter did not advance in this window); "
        "tables leave its energy out, run the case again"
    )


def test_a_workload_of_which_one_repeat_lacks_the_gpu_is_named_and_left_out(results):
    broken = merged(workload_record(40, 0.4), ON_GPU)
    (repeat,) = broken["repeats"]
    broken["repeats"] = [
        merged(repeat, {"seed": seed, "energy": window(joules), "natural": {"energy": window(50.0)}})
        for seed, joules in ((42, 90.0), (123, None))
    ]
    found = consolidate(results(broken))
    assert found.rows == ()
    (problem,) = found.problems
    assert problem.endswith(
        "its energy, seed 123, has a total without the GPU (the counter did not advance in this window); "
        "run the case again"
    )


def test_joules_of_other_sources_are_no_baseline_and_times_are(results):
    levels = []
    for percent, source in ((0, "nvml"), (40, "amdsmi")):
        found = merged(workload_record(percent, 0.5), ON_GPU)
        (repeat,) = found["repeats"]
        found["repeats"] = [
            merged(repeat, {"energy": window(90.0, source), "natural": {"energy": window(90.0, source)}})
        ]
        levels.append(found)
    deltas = {row["metric"]: row["delta"] for row in consolidate(results(*levels)).rows if row["percent"]}
    assert (deltas["energy_per_token_j"], deltas["tokens_per_s"]) == (None, 0.0)


def test_the_time_of_a_resumed_case_is_not_that_of_its_last_window(results):
    (row,) = consolidate(results(record(0, 0.8) | {"resumed": {"answers": 3, "seconds": 9.0, "runs": []}})).rows
    assert row["window_s"] is None


def test_windows_that_held_more_than_the_models_work_stand_beside_no_others(results):
    old = record(0, 0.8)
    del old["conditions"]
    found = {row["percent"]: row for row in consolidate(results(old, record(40, 0.6))).rows}
    assert (found[0]["energy_j"], found[0]["window_s"], found[0]["value"]) == (None, None, 0.8)
    assert found[0]["energy_reason"].startswith("an earlier version measured it, with the building of requests")
    assert (found[40]["energy_j"], found[40]["energy_reason"]) == (12.5, None)


def test_a_level_that_was_scored_on_another_processor_than_its_baseline_is_named_below_the_table(results):
    other = record(40, 0.6)
    other["environment"] |= {"device": "cuda", "gpu": "NVIDIA L4"}
    (table,) = headline_tables(consolidate(results(record(0, 0.8), other, record(60, 0.5))).rows)
    assert table.cells["facts", 40]["delta"] == pytest.approx(-0.2)
    assert table.notes == ["scored on another processor than p0, which can change last digits: facts p40 (NVIDIA L4)"]


def test_a_level_that_was_measured_otherwise_than_its_baseline_is_named_below_the_table(results):
    other = record(40, 0.6)
    other["done_key"]["dtype"] = "bfloat16"
    (table,) = headline_tables(consolidate(results(record(0, 0.8), other, record(60, 0.5))).rows)
    assert table.cells["facts", 40]["delta"] is None
    assert table.notes == ["measured differently from p0, so no change is given: facts p40 (dtype)"]
    (alike,) = headline_tables(consolidate(results(record(0, 0.8), record(40, 0.6))).rows)
    assert alike.notes == []


def test_a_column_has_one_metric(results):
    """A study whose headline metric was changed leaves levels of the old one and of the new one."""
    other = record(60, 81.0)
    other["score"]["headline"] |= {"metric": "perplexity", "label": "perplexity", "higher_is_better": False}
    other["score"]["metrics"][0]["metric"] = "perplexity"
    (table,) = headline_tables(consolidate(results(record(0, 0.8), record(40, 0.6), other)).rows)
    assert list(table.cells) == [("facts", 0), ("facts", 40)]
    assert table.notes == ["left out, headline metric differs from the first level's: facts p60 (perplexity)"]


@pytest.mark.parametrize("settings", ["much", 5, ["a"]])
def test_generation_settings_of_another_shape_are_named(results, settings):
    broken = record(40, 0.6)
    broken["score"]["generation_settings"] = settings
    found = consolidate(results(record(0, 0.8), broken))
    assert len(found.problems) == 1
    assert [row["percent"] for row in found.rows] == [0]


def test_what_foreign_records_say_stays_in_one_line(results):
    foreign = record(40, 0.6)
    foreign["score"]["generation_settings"] = {"a\nb": "c\x1b[31m"}
    foreign["done_key"]["x\ny"] = 1
    (table,) = headline_tables(consolidate(results(record(0, 0.8), foreign)).rows)
    assert all(note.isprintable() for note in table.notes)
    assert len(table.notes) == 2
