import dataclasses

import pytest
import torch

from glu_lib.errors import MeasurementError
from glu_lib.results.staleness import Status
from glu_lib.run.experiment import Experiment
from glu_lib.run.interleaving import ALONE, DO_NOT_FIT, OUT_OF_MEMORY, fit_together
from glu_lib.run.session import Session
from glu_lib.study import STUDY
from glu_lib.study.cases import Case
from glu_lib.study.pruning import Pruning

NANO = STUDY.models["nano"]
WORKLOAD = dataclasses.replace(STUDY.workloads["facts_throughput_b8"], num_prompts=4, new_tokens=3)
LEVELS = (0, 40, 60)
CASES = [Case(NANO, Pruning(percent), WORKLOAD) for percent in LEVELS]


def measured_order(monkeypatch) -> list[tuple[int, int]]:
    """(width, seed) of each repeat as it is measured from now on."""
    from glu_lib.measure.energy.workload import WorkloadProfile

    found, measure = [], WorkloadProfile.measure

    def spy(self, seed):
        found.append((self.loaded.model.config.intermediate_size, seed))
        measure(self, seed)

    monkeypatch.setattr(WorkloadProfile, "measure", spy)
    return found


def run_all(experiment, cases=CASES):
    session = Session(experiment)
    session.begin(cases)
    records = []
    for case in cases:
        with session.prepared(case.model, case.pruning) as prepared:
            records.append(session.measure(case, prepared).as_json())
    return records


def test_repeats_of_all_levels_take_turns_in_a_new_random_order_each(settings, monkeypatch):
    order = measured_order(monkeypatch)
    records = run_all(Experiment(settings))
    assert [seed for _, seed in order] == [42] * 3 + [123] * 3 + [456] * 3
    blocks = [tuple(width for width, _ in order[start : start + 3]) for start in (0, 3, 6)]
    assert all(sorted(block) == [205, 308, 512] for block in blocks)
    assert len(set(blocks)) > 1
    names = {512: "p0", 308: "p40", 205: "p60"}
    for record in records:
        assert record["schedule"] == {
            "interleaved": True,
            "orders": [[names[width] for width in block] for block in blocks],
            "reason": None,
        }
        assert [repeat["seed"] for repeat in record["repeats"]] == [42, 123, 456]
    assert [record["pruning"]["width"] for record in records] == [512, 308, 205]


def test_each_level_is_loaded_once_and_all_are_released(settings, monkeypatch):
    import glu_lib.run.loader as module

    loaded, load = [], module.load_model
    monkeypatch.setattr(module, "load_model", lambda *args: loaded.append(1) or load(*args))
    experiment = Experiment(settings)
    run_all(experiment)
    assert len(loaded) == 3
    assert not experiment.levels.residents


def test_records_of_all_levels_are_written_as_soon_as_their_turns_are_over(settings):
    experiment = Experiment(settings)
    session = Session(experiment)
    session.begin(CASES)
    with experiment.levels.prepared(NANO, Pruning(40)) as prepared:
        session.measure(CASES[1], prepared).as_json()
    assert [Experiment(settings).states.of(case).status for case in CASES] == [Status.DONE] * 3


def test_memory_of_other_levels_is_taken_off(settings):
    records = run_all(Experiment(settings))
    bytes_of = [4 * record["pruning"]["parameters"] for record in records]
    for record, own in zip(records, bytes_of, strict=True):
        assert record["generation_memory"]["other_models_bytes"] == sum(bytes_of) - own


def test_a_level_alone_says_so(settings):
    (record,) = run_all(Experiment(settings), CASES[1:2])
    assert record["schedule"] == {"interleaved": False, "orders": [["p40"]] * 3, "reason": ALONE}


def test_levels_that_do_not_fit_together_run_one_after_the_other(settings, monkeypatch):
    monkeypatch.setattr("glu_lib.run.interleaving.free_bytes", lambda _device: 1_000_000)
    order = measured_order(monkeypatch)
    records = run_all(Experiment(settings))
    assert [width for width, _ in order] == [512] * 3 + [308] * 3 + [205] * 3
    assert {record["schedule"]["reason"] for record in records} == {DO_NOT_FIT}


def test_what_fits_is_counted_in_bytes(settings, monkeypatch):
    experiment = Experiment(settings)
    with experiment.levels.prepared(NANO, Pruning(40)) as prepared:
        others = [Pruning(0), Pruning(60)]
        needed = 4 * (1_054_848 + 1_054_848 - 3 * 4 * 128 * (512 - 205))
        for free, fits in ((needed / 0.7 + 1, True), (needed / 0.7 - 8, False)):
            monkeypatch.setattr("glu_lib.run.interleaving.free_bytes", lambda _device, free=free: free)
            assert fit_together(prepared, others) is fits


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError(),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"),
    ],
    ids=["allocator", "cublas"],
)
def test_memory_that_runs_out_beside_others_leaves_the_level_alone(settings, monkeypatch, error):
    from glu_lib.measure.energy.workload import WorkloadProfile

    experiment, measure = Experiment(settings), WorkloadProfile.measure

    def full(self, seed):
        if len(experiment.levels.residents) == 2:
            raise error
        measure(self, seed)

    monkeypatch.setattr(WorkloadProfile, "measure", full)
    session = Session(experiment)
    session.begin(CASES)
    with experiment.levels.prepared(NANO, Pruning(0)) as prepared:
        record = session.measure(CASES[0], prepared).as_json()
    assert record["schedule"]["reason"] == OUT_OF_MEMORY
    assert len(record["repeats"]) == 3
    assert not experiment.levels.residents


def test_a_companion_that_fails_is_left_out_and_says_why_when_its_case_runs(settings, monkeypatch):
    from glu_lib.measure.energy.workload import WorkloadProfile

    measure = WorkloadProfile.measure

    def refuse(self, seed):
        if self.loaded.model.config.intermediate_size == 308:
            raise MeasurementError("impossible figures")
        measure(self, seed)

    monkeypatch.setattr(WorkloadProfile, "measure", refuse)
    experiment = Experiment(settings)
    session = Session(experiment)
    session.begin(CASES)
    with experiment.levels.prepared(NANO, Pruning(0)) as prepared:
        record = session.measure(CASES[0], prepared).as_json()
    assert [sorted(order) for order in record["schedule"]["orders"]] == [["p0", "p60"]] * 3
    assert experiment.states.of(CASES[2]).status is Status.DONE
    order = measured_order(monkeypatch)
    with experiment.levels.prepared(NANO, Pruning(40)) as prepared, pytest.raises(MeasurementError, match="impossible"):
        session.measure(CASES[1], prepared).as_json()
    assert order == [(308, 42)]  # the others are done and not measured again


def test_a_companion_that_breaks_does_not_take_the_case_with_it(settings, monkeypatch):
    experiment = Experiment(settings)
    prepare = experiment.levels.prepare

    def broken(variant, pruning):
        if pruning.percent == 40:
            raise KeyError("a defect")
        return prepare(variant, pruning)

    experiment.levels.prepare = broken
    session = Session(experiment)
    session.begin(CASES)
    with experiment.levels.prepared(NANO, Pruning(0)) as prepared:
        record = session.measure(CASES[0], prepared).as_json()
    assert [sorted(order) for order in record["schedule"]["orders"]] == [["p0", "p60"]] * 3


def test_a_repeat_beside_others_is_measured_again_and_then_refused(settings, monkeypatch):
    from glu_lib.measure.energy.workload import WorkloadProfile

    alone = dataclasses.replace(settings, allow_shared=False)
    repeat, disturbed = WorkloadProfile._repeat, [True, True, False, False, False]

    def spy(self, seed, batches):
        found = repeat(self, seed, batches)
        found["conditions"] |= {"exclusive": not disturbed.pop(0), "other_cpu_cores": 0.8}
        return found

    monkeypatch.setattr(WorkloadProfile, "_repeat", spy)
    (record,) = run_all(Experiment(alone), CASES[1:2])
    assert [found["conditions"]["exclusive"] for found in record["repeats"]] == [True] * 3
    assert not disturbed
    disturbed += [True] * 3
    with pytest.raises(
        MeasurementError,
        match=r"too busy in each of 3 attempts \(0\.80 cores in the last one, 0\.25 are allowed\); wait",
    ):
        run_all(Experiment(dataclasses.replace(alone, rerun=True)), CASES[1:2])


def test_prompts_and_answers_must_fit_the_context(settings):
    long = Case(NANO, Pruning(40), dataclasses.replace(WORKLOAD, new_tokens=250))
    with pytest.raises(MeasurementError, match="250 new tokens need .* tokens, and the model's context has 256; leave"):
        run_all(Experiment(settings), [long])


def test_what_another_run_finished_meanwhile_is_not_measured_again(settings, monkeypatch):
    first = Experiment(settings)
    session = Session(first)
    session.begin(CASES)
    run_all(Experiment(settings), CASES[2:])  # another run, after the first one looked what is done
    order = measured_order(monkeypatch)
    with first.levels.prepared(NANO, Pruning(0)) as prepared:
        record = session.measure(CASES[0], prepared).as_json()
    assert {width for width, _ in order} == {512, 308}
    assert [sorted(levels) for levels in record["schedule"]["orders"]] == [["p0", "p40"]] * 3


def test_a_workload_that_does_not_fit_alone_is_one_line(settings, monkeypatch):
    """Its batch belongs to what is measured: it is not made smaller."""
    from glu_lib.measure.energy.workload import WorkloadProfile

    def full(*_args):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(WorkloadProfile, "measure", full)
    experiment = Experiment(settings)
    session = Session(experiment)
    session.begin(CASES)
    with experiment.levels.prepared(NANO, Pruning(0)) as prepared:
        with pytest.raises(MeasurementError, match="out of memory with batch size 8; choose a GPU with more memory"):
            session.measure(CASES[0], prepared).as_json()
        assert not experiment.levels.residents
