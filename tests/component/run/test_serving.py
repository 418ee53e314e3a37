"""Serving at saturation on the embedded model: which sizes are measured, and what stops the batch."""

import dataclasses

import pytest
import torch

from glu_lib.errors import MeasurementError
from glu_lib.measure.energy.workload import WorkloadProfile
from glu_lib.results.record import read_record
from glu_lib.results.staleness import Status
from glu_lib.run.experiment import Experiment
from glu_lib.run.interleaving import ALONE, OUT_OF_MEMORY
from glu_lib.run.session import Session
from glu_lib.study import STUDY, Saturation
from glu_lib.study.cases import Case
from glu_lib.study.pruning import Pruning

NANO = STUDY.models["nano"]
WORKLOAD = Saturation("serving_saturation", None, new_tokens=3, max_batch=8, seeds=(42, 123), prompt_tokens=8)
CASES = [Case(NANO, Pruning(percent), WORKLOAD) for percent in (0, 40)]


@pytest.fixture
def whole(settings):
    """Settings without a limit: `--limit` would make the largest batch smaller."""
    return dataclasses.replace(settings, limit=None)


@pytest.fixture
def speeds(monkeypatch):
    """Throughputs of each batch size, by width, in place of the measured ones."""
    told = {}
    figures = WorkloadProfile.figures

    def spy(self):
        found = figures(self)
        width, size = self.loaded.model.config.intermediate_size, self.workload.batch_size
        if (width, size) in told:
            found["profile"]["tokens_per_s"] |= {"mean": told[width, size]}
        return found

    monkeypatch.setattr(WorkloadProfile, "figures", spy)
    return told


def run(settings, cases=CASES):
    session = Session(Experiment(settings))
    session.begin(cases)
    records = []
    for case in cases:
        with session.prepared(case.model, case.pruning) as prepared:
            records.append(session.measure(case, prepared))
    return records


def test_levels_take_turns_at_each_size_until_both_have_met_what_stops_them(whole, speeds):
    for width, gained in ((512, (100, 103, 150, 151)), (308, (100, 200, 400, 401))):
        speeds |= {(width, 2**power): speed for power, speed in enumerate(gained)}
    p0, p40 = run(whole)
    assert [batch.batch_size for batch in p0.batches] == [batch.batch_size for batch in p40.batches] == [1, 2, 4, 8]
    assert (p0.stop.reason, p0.stop.batch_size, p0.stop.gain) == ("throughput", 2, pytest.approx(0.03))
    assert (p40.stop.reason, p40.stop.batch_size, p40.stop.gain) == ("throughput", 8, pytest.approx(0.0025))
    assert p0.schedule.interleaved
    assert len(p0.schedule.orders) == 4 * len(WORKLOAD.seeds)
    assert all(sorted(order) == ["p0", "p40"] for order in p0.schedule.orders)
    assert [repeat.seed for repeat in p0.batches[2].repeats] == [42, 123]


def test_the_sweep_ends_when_no_level_gains_any_more(whole, speeds):
    for width in (512, 308):
        speeds |= {(width, 1): 100, (width, 2): 104}
    for record in run(whole):
        assert [batch.batch_size for batch in record.batches] == [1, 2]
        assert (record.stop.reason, record.stop.batch_size) == ("throughput", 2)


def test_the_largest_size_stops_a_batch_that_still_gains(whole, speeds):
    speeds |= {(512, 2**power): 100 * 2**power for power in range(4)}
    (record,) = run(whole, CASES[:1])
    assert (record.stop.reason, record.stop.batch_size, record.stop.gain) == ("largest", 8, 1.0)
    assert record.schedule.reason == ALONE


def test_every_figure_is_there_and_the_record_is_sound(whole):
    (record,) = run(dataclasses.replace(whole, idle_s=0.2, min_window_s=0.3), CASES[1:])
    assert record.doubts() == []
    for batch in record.batches:
        assert {repeat.rows for repeat in batch.repeats} == {batch.batch_size}
        for name in ("tokens_per_s", "time_per_output_token_ms", "time_per_output_token_p99_ms"):
            assert getattr(batch.profile, name).mean > 0
        assert batch.profile.energy_per_token_j.mean is None or batch.profile.energy_per_token_j.mean > 0
        assert batch.generation_memory.peak_bytes >= batch.generation_memory.before_bytes
    assert record.idle.seconds == pytest.approx(0.2, abs=0.2)


def test_a_limit_makes_the_largest_batch_smaller(settings):
    (record,) = run(settings, CASES[:1])
    assert record.done_key.limit == 4
    assert max(batch.batch_size for batch in record.batches) <= 4


def test_a_finished_case_is_done_and_a_larger_batch_makes_it_stale(whole):
    run(whole, CASES[:1])
    assert Experiment(whole).states.of(CASES[0]).status is Status.DONE
    larger = Case(NANO, Pruning(0), dataclasses.replace(WORKLOAD, max_batch=16))
    state = Experiment(whole).states.of(larger)
    assert (state.status, state.reason) == (Status.STALE, "prompts 8 -> 16, batch size 8 -> 16")


def out_of_memory_from(monkeypatch, size, *, beside_others=False):
    """Memory that runs out from a batch size on; only beside other levels, if told so."""
    measure, experiments = WorkloadProfile.measure, []

    def full(self, seed):
        is_here = not beside_others or experiments[0].levels.residents
        if self.workload.batch_size >= size and is_here:
            raise torch.OutOfMemoryError
        measure(self, seed)

    monkeypatch.setattr(WorkloadProfile, "measure", full)
    return experiments


def test_memory_that_runs_out_is_a_result_for_a_level_alone(whole, speeds, monkeypatch):
    speeds |= {(512, 2**power): 100 * 2**power for power in range(4)}
    out_of_memory_from(monkeypatch, 4)
    (record,) = run(whole, CASES[:1])
    assert [batch.batch_size for batch in record.batches] == [1, 2]
    assert record.stop.model_dump() == {"reason": "memory", "batch_size": 4, "gain": None}
    assert "stopped by" not in " ".join(record.doubts())


def test_memory_that_runs_out_beside_others_leaves_each_level_the_whole_memory(whole, speeds, monkeypatch):
    for width in (512, 308):
        speeds |= {(width, 2**power): 100 * 2**power for power in range(4)}
    experiments = out_of_memory_from(monkeypatch, 4, beside_others=True)
    experiment = Experiment(whole)
    experiments.append(experiment)
    session = Session(experiment)
    session.begin(CASES)
    with session.prepared(NANO, Pruning(0)) as prepared:
        record = session.measure(CASES[0], prepared)
    assert record.schedule.reason == OUT_OF_MEMORY
    assert (record.stop.reason, record.stop.batch_size) == ("largest", 8)


def test_a_batch_that_is_known_not_to_fit_is_not_tried(whole, speeds, monkeypatch):
    speeds |= {(512, 2**power): 100 * 2**power for power in range(4)}
    tried, measure = [], WorkloadProfile.measure
    monkeypatch.setattr(
        WorkloadProfile, "measure", lambda self, seed: tried.append(self.workload.batch_size) or measure(self, seed)
    )
    peak = WorkloadProfile.peak

    def known(self):
        found = peak(self)
        found.before_bytes, found.peak_bytes = 1000, 1000 + 100 * self.workload.batch_size
        return found

    monkeypatch.setattr(WorkloadProfile, "peak", known)
    monkeypatch.setattr("glu_lib.measure.energy.saturation.usable_bytes", lambda _device: 500)
    (record,) = run(whole, CASES[:1])
    assert (record.stop.reason, record.stop.batch_size) == ("memory_bound", 8)  # needs 800 bytes, 4 needed 400
    assert max(tried) == 4


def test_memory_for_not_even_one_prompt_is_an_error(whole, monkeypatch):
    out_of_memory_from(monkeypatch, 1)
    with pytest.raises(MeasurementError, match="out of memory with batch size 1; choose a GPU with more memory"):
        run(whole, CASES[:1])
    assert not list(whole.results_dir.glob("individual_files/*/*/*.json"))


def test_prompts_of_a_task_are_padded_and_measured(whole):
    case = Case(NANO, Pruning(40), dataclasses.replace(WORKLOAD, prompts="facts", max_batch=2))
    (record,) = run(whole, [case])
    assert (record.done_key.prompts_of, record.done_key.prompt_tokens) == ("facts", None)
    assert read_record(next(whole.results_dir.glob("individual_files/*/*/*.json"))).stop.reason in (
        "largest",
        "throughput",
    )
