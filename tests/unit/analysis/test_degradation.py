import gzip
import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from glu_lib.analysis import consolidate
from glu_lib.analysis.changes import BASELINE
from glu_lib.analysis.conclusions import with_significance
from glu_lib.analysis.degradation import degradation
from glu_lib.analysis.significance import holm
from glu_lib.analysis.table import without_controls
from glu_lib.analysis.trends import Sensitivity
from glu_lib.results.address import RecordId
from glu_lib.results.record import read_scored, sealed
from glu_lib.results.store import Store
from glu_lib.study import STUDY
from glu_lib.study.cases import Case
from glu_lib.study.pruning import Pruning

NANO = Path(__file__).parents[3] / "results/measured/nano"


@pytest.fixture
def part(tmp_path):
    """A copy of the committed facts and sums at p0, p10 and p40."""
    for level in ("p0", "p10", "p40"):
        for folder, ending in (("individual_files", "json"), ("samples", "jsonl.gz")):
            target = tmp_path / folder / "nano" / level
            target.mkdir(parents=True)
            for task in ("facts", "sums"):
                shutil.copy(NANO / folder / "nano" / level / f"nano-{level}-{task}.{ending}", target)
    return tmp_path


def changes(root, **options):
    found = degradation(consolidate(root).rows, Store(root), **options)
    return {change.case: change for change in found.changes}, {trend.task: trend for trend in found.trends}


def samples_file(root, level, task):
    return root / f"samples/nano/{level}/nano-{level}-{task}.jsonl.gz"


@pytest.fixture(scope="module")
def committed():
    rows = consolidate(NANO).rows
    return degradation(rows, Store(NANO)), rows


def test_every_headline_row_has_its_comparison(committed):
    found, rows = committed
    headline = [row for row in without_controls(rows) if row["kind"] == "accuracy" and row["is_headline"]]
    assert sorted(change.record for change in found.changes) == sorted(row["record"] for row in headline)
    reasons = Counter(change.reason for change in found.changes)
    assert reasons == {"": 77, BASELINE: 7}
    by_record = {change.record: change for change in found.changes}
    for row in headline:
        if row["percent"]:
            assert by_record[row["record"]].comparison.delta == pytest.approx(row["delta"], abs=1e-9)


def test_the_embedded_model_is_fragile_in_all_its_tasks(committed):
    kinds = {trend.task: (trend.kind, trend.levels, trend.source) for trend in committed[0].trends if trend.levels > 2}
    tasks = ("facts", "sums", "instructions", "commonsense", "truth", "lastword", "narrative")
    assert kinds == dict.fromkeys(tasks, (Sensitivity.FRAGILE, 7, "items"))


def test_small_changes_are_told_from_large_ones(committed):
    by_case = {change.case: change for change in committed[0].changes}
    assert by_case["nano-p10-facts"].p_holm == 1
    assert by_case["nano-p40-facts"].p_holm < 1e-6
    assert by_case["nano-p40-facts"].skill.is_blind is False
    assert by_case["nano-p0-narrative"].skill.control == "unigram"


def test_p_values_are_adjusted_within_their_family(committed):
    main = [change for change in committed[0].changes if change.comparison and change.case.count("-") == 2]
    assert len(main) == 42
    assert [change.p_holm for change in main] == holm([change.comparison.p for change in main])


def test_each_samples_file_is_read_once(part, monkeypatch):
    read, original = Counter(), Store.read_samples

    def counting(store, samples):
        read[samples.file] += 1
        return original(store, samples)

    monkeypatch.setattr(Store, "read_samples", counting)
    changes(part)
    assert set(read.values()) == {1}
    assert len(read) == 6


def test_the_same_seed_gives_the_same_figures(part):
    assert changes(part, resamples=200) == changes(part, resamples=200)


def test_missing_samples_have_a_reason_and_the_others_are_compared(part):
    samples_file(part, "p10", "facts").unlink()
    found, trends = changes(part)
    assert found["nano-p10-facts"].comparison is None
    assert "samples cannot be read" in found["nano-p10-facts"].reason
    assert found["nano-p40-facts"].comparison is not None
    assert found["nano-p10-facts"].p_holm is None
    assert found["nano-p40-facts"].p_holm == pytest.approx(2 * found["nano-p40-facts"].comparison.p)
    assert (trends["facts"].source, trends["sums"].source) == ("levels", "items")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no gzip",
        gzip.compress(b'{"task": "nano_facts"}\n' * 500),
        gzip.compress(b"[]\n" * 500),
        gzip.compress(b"{}\n" * 500)[:30],
    ],
    ids=["empty", "foreign", "incomplete", "lists", "torn"],
)
def test_corrupt_samples_of_the_baseline_have_a_reason_at_each_level(part, data):
    samples_file(part, "p0", "facts").write_bytes(data)
    found, _ = changes(part)
    for level in ("p0", "p10", "p40"):
        change = found[f"nano-{level}-facts"]
        assert (change.comparison, bool(change.reason)) == (None, True)
    assert found["nano-p40-sums"].comparison is not None


def test_without_the_baseline_there_is_no_comparison(part):
    (part / "individual_files/nano/p0/nano-p0-facts.json").unlink()
    found, trends = changes(part)
    assert found["nano-p40-facts"].reason == "nano-p40-facts: p0 of the same measurement is missing; run it"
    assert found["nano-p40-facts"].skill.value is None
    assert found["nano-p40-facts"].skill.is_blind is False
    assert set(trends) == {"sums"}


def test_a_baseline_of_other_documents_is_refused(part):
    store, case = Store(part), Case(STUDY.models["nano"], Pruning(0), STUDY.tasks["facts"])
    record = read_scored(store.record_path(RecordId(case)))
    samples = store.read_samples(record.samples)
    samples[3]["doc_hash"] = "another"
    store.write(RecordId(case), record.as_json(), samples)
    found, trends = changes(part)
    assert "nano-p40-facts: 1 documents differ from those of nano-p0-facts" in found["nano-p40-facts"].reason
    assert (trends["facts"].source, trends["facts"].levels) == ("levels", 1)
    rows = with_significance(consolidate(part).rows, found.values())
    shown = {row["case"]: row["baseline"] for row in rows if row["is_headline"] and row["percent"]}
    assert shown["nano-p40-facts"] is shown["nano-p10-facts"] is None
    assert None not in (shown["nano-p40-sums"], shown["nano-p10-sums"])


def test_a_baseline_that_was_measured_otherwise_is_told_from_a_missing_one(part):
    path = part / "individual_files/nano/p0/nano-p0-facts.json"
    record = json.loads(path.read_text())
    record["done_key"]["dtype"] = "bfloat16"
    path.write_text(json.dumps(sealed(record)))
    found, _ = changes(part)
    assert (
        found["nano-p40-facts"].reason
        == "nano-p40-facts: p0 was measured differently (dtype); run both with the same settings"
    )
