"""The energy windows of accuracy cases: the model's work, all of it, and nothing else."""

from collections import Counter
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from glu_lib.measure.energy.conditions import CpuSeconds
from glu_lib.measure.energy.reading import read_components
from glu_lib.measure.energy.window import Window
from glu_lib.results.energy import Quality
from glu_lib.results.staleness import Status
from glu_lib.run.experiment import Experiment
from glu_lib.run.session import Session
from glu_lib.study import STUDY
from glu_lib.study.cases import Case
from glu_lib.study.pruning import Pruning
from glu_lib.study.settings import Scorer, Settings

NANO = STUDY.models["nano"]
SOURCES = {"cpu": ("rapl", Quality.MEASURED), "ram": ("ram_model", Quality.ESTIMATED)}
# Multiple choice, generation, rolling and plain log-likelihoods.
TASKS = ("commonsense", "sums", "narrative", "lastword")


class Meter:
    """A joule per token that is forwarded in an open window; counts what happens inside and outside of windows."""

    def __init__(self):
        self.inside, self.outside, self.is_open, self.windows = Counter(), Counter(), False, 0

    def count(self, what, number=1):
        (self.inside if self.is_open else self.outside)[what] += number

    def start(self, _device):
        """Nothing to wait for."""

    @contextmanager
    def window(self, _device, _log=None):
        assert not self.is_open, "a window within a window"
        window, before = Window(), self.inside["tokens"]
        self.is_open, self.windows = True, self.windows + 1
        try:
            yield window
        finally:
            self.is_open = False
            joules = self.inside["tokens"] - before
            data = SimpleNamespace(gpu_energy=0.0, cpu_energy=joules / 3.6e6, ram_energy=1 / 3.6e6)
            window.reading = read_components(data, SOURCES, 2.0)


@pytest.fixture
def calm(monkeypatch):
    """A machine on which nobody else is at work, or somebody: cores that others keep busy."""
    state = SimpleNamespace(cores=0.0, now_s=0.0)

    def seconds():
        state.now_s += 1.0
        return CpuSeconds(state.now_s, state.now_s * state.cores, 0.0)

    monkeypatch.setattr("glu_lib.measure.energy.conditions._cpu_seconds", seconds)
    return state


@pytest.fixture
def measure(tmp_path, monkeypatch, calm):
    """Run tasks at some levels, in a run of its own; returns the records, the last level's counts, the run."""

    def run(levels, tasks, scorer=Scorer.FAST, **settings):
        meter = Meter()
        run.meters.append(meter)
        folder = tmp_path / f"{scorer}-{'-'.join(map(str, levels))}"
        experiment = Experiment(Settings(folder, limit=12, threads=1, batch_size=4, scorer=scorer, **settings))
        experiment.meter = meter
        records = {}
        for percent in levels:
            with experiment.levels.prepared(NANO, Pruning(percent)) as prepared, monkeypatch.context() as patch:
                meter.inside.clear()
                meter.outside.clear()
                _count_calls(patch, meter, prepared)
                for task in tasks:
                    records[percent, task] = (
                        Session(experiment).measure(Case(NANO, Pruning(percent), STUDY.tasks[task]), prepared).as_json()
                    )
        return records, meter, experiment

    run.meters = []
    return run


def _count_calls(patch, meter, prepared):
    """Count forward passes with their tokens, tokenized texts, and tasks whose requests are built."""
    from lm_eval.api.task import Task as LmEvalTask

    backbone, tokenizer = type(prepared.loaded.model.base_model), type(prepared.lm.tokenizer)
    forward, build = backbone.forward, LmEvalTask.build_all_requests

    def counted_forward(model, *args, **options):
        tokens = options["input_ids"] if "input_ids" in options else args[0]
        meter.count("passes")
        meter.count("tokens", tokens.numel())
        return forward(model, *args, **options)

    def counted(original):
        def counted_encode(*args, **options):
            meter.count("tokenized")
            return original(*args, **options)

        return counted_encode

    def counted_build(task, **options):
        meter.count("built")
        return build(task, **options)

    patch.setattr(backbone, "forward", counted_forward)
    for name in ("__call__", "encode"):
        patch.setattr(tokenizer, name, counted(getattr(tokenizer, name)))
    patch.setattr(LmEvalTask, "build_all_requests", counted_build)


@pytest.mark.parametrize("task", TASKS)
def test_a_window_holds_the_models_work_and_nothing_else(measure, task):
    records, meter, _ = measure([40], [task])
    assert meter.outside["tokenized"] > 0
    assert meter.outside["built"] > 0
    assert set(meter.inside) == {"passes", "tokens"}
    assert meter.inside["passes"] > 0
    energy = records[40, task]["energy"]
    assert energy["cpu"]["energy_j"] == pytest.approx(meter.inside["tokens"])
    assert energy["window_s"] == 2.0 * meter.windows


def test_all_forward_passes_of_a_later_case_are_in_its_window(measure):
    # The first case of a level also tries the model out, before its window.
    _, meter, _ = measure([40], ["commonsense"])
    tried = meter.outside["passes"]
    _, meter, _ = measure([40], TASKS)
    assert meter.outside["passes"] == tried


@pytest.mark.parametrize("scorer", list(Scorer))
def test_a_level_after_another_does_the_work_that_it_does_alone(measure, scorer):
    alone, of_one, _ = measure([40], TASKS, scorer)
    after, of_two, _ = measure([0, 40], TASKS, scorer)
    assert of_one.inside == of_two.inside
    for task in TASKS:
        assert alone[40, task]["energy"]["total_j"] == after[40, task]["energy"]["total_j"] > 0


def test_hflm_tokenizes_log_likelihoods_before_its_window_and_is_measured_once_per_method(measure):
    _, meter, _ = measure([40], ["commonsense", "narrative"], Scorer.HF)
    assert meter.windows == 2
    _, meter, _ = measure([0], ["commonsense"], Scorer.HF)
    assert "tokenized" not in meter.inside


def test_beside_others_the_joules_are_null_with_the_reason_and_the_case_is_done(measure, calm):
    calm.cores = 0.5
    records, _, experiment = measure([40], ["facts"])
    record = records[40, "facts"]
    reason = (
        "beside other processes that kept more than 0.25 cores busy; let them end and use --rerun, or accept the "
        "figures with --allow-shared"
    )
    assert (record["energy"]["total_j"], record["energy"]["total_reason"]) == (None, reason)
    assert record["energy"]["cpu"]["reason"] == reason
    assert (record["conditions"]["exclusive"], record["conditions"]["other_cpu_cores"]) == (False, 0.5)
    assert record["score"]["headline"]["value"] > 0
    assert experiment.states.of(Case(NANO, Pruning(40), STUDY.tasks["facts"])).status is Status.DONE


def test_allow_shared_keeps_the_joules_and_says_so(measure, calm):
    calm.cores = 0.5
    records, meter, _ = measure([40], ["facts"], allow_shared=True)
    record = records[40, "facts"]
    assert record["energy"]["cpu"]["energy_j"] == pytest.approx(meter.inside["tokens"])
    assert (record["conditions"]["exclusive"], len(record["conditions"]["shared_with"])) == (False, 1)


def test_below_the_limit_the_joules_stay(measure, calm):
    calm.cores = 0.2
    records, _, _ = measure([40], ["facts"])
    assert records[40, "facts"]["energy"]["total_j"] > 0
    assert records[40, "facts"]["conditions"] == {
        "exclusive": True,
        "shared_with": [],
        "gpu_before": None,
        "other_cpu_cores": pytest.approx(0.2),
        "gpu_after": None,
    }


def test_beside_other_workers_of_the_run_there_are_no_joules(measure, monkeypatch):
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "2")
    records, _, _ = measure([40], ["facts"])
    assert records[40, "facts"]["energy"]["total_reason"].startswith(
        "beside the other workers of this run (leave out -n); let them end"
    )


def test_where_memory_ran_out_there_are_no_joules(measure, monkeypatch):
    import torch

    from glu_lib.measure.scoring.forward import SharedForward

    hidden_states, failures = SharedForward.hidden_states, iter([True])

    def hidden_states_once_without_memory(forward, *args, **options):
        if measure.meters[-1].is_open and next(failures, False):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return hidden_states(forward, *args, **options)

    monkeypatch.setattr(SharedForward, "hidden_states", hidden_states_once_without_memory)
    records, _, _ = measure([40], ["facts"])
    assert records[40, "facts"]["runtime"]["batch_size"] < 4
    assert records[40, "facts"]["energy"]["total_reason"] == (
        "memory ran out within the case: a part of its work was done twice, in smaller batches"
    )
