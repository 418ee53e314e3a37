"""A case that is interrupted anywhere and resumed gives the record of an undisturbed one."""

import random

import pytest

from glu_lib.results.address import RecordId
from glu_lib.results.records import Samples
from glu_lib.run.experiment import Experiment
from glu_lib.run.session import Session
from glu_lib.study import STUDY
from glu_lib.study.cases import Case
from glu_lib.study.pruning import Pruning
from glu_lib.study.settings import Scorer, Settings

NANO = STUDY.models["nano"]
PRUNING = Pruning(40)
# Multiple choice, generation, rolling and plain log-likelihoods.
TASKS = ("commonsense", "sums", "instructions", "narrative", "lastword")
# Forward passes that may be done again: a batch and its prefix; HFLM keeps generations as whole batches (8 steps here).
AGAIN = {Scorer.FAST: 3, Scorer.HF: 9}


@pytest.fixture(autouse=True)
def kept_at_once(monkeypatch):
    monkeypatch.setattr("glu_lib.results.unfinished.FLUSH_S", 0)
    monkeypatch.setattr("glu_lib.measure.scoring.kept.PROGRESS_S", 0)


@pytest.fixture(scope="module", params=list(Scorer))
def level(request, tmp_path_factory):
    """An experiment of one scorer with the model loaded; small batches, so that there are many of them."""
    folder = tmp_path_factory.mktemp(str(request.param))
    experiment = Experiment(
        Settings(results_dir=folder, limit=64, threads=1, batch_size=1, scorer=request.param, allow_shared=True)
    )
    with experiment.levels.prepared(NANO, PRUNING) as prepared:
        yield experiment, prepared


class Killed(KeyboardInterrupt):
    pass


@pytest.fixture
def run(level, monkeypatch):
    """Run a case; returns its record (None if it was killed) and the forward passes that it took."""
    experiment, prepared = level
    backbone = type(prepared.loaded.model.base_model)
    original = backbone.forward

    def run(case, kill_after=None):
        passes = 0

        def forward(model, *args, **options):
            nonlocal passes
            passes += 1
            if passes == kill_after:
                raise Killed
            return original(model, *args, **options)

        with monkeypatch.context() as patch:
            patch.setattr(backbone, "forward", forward)
            try:
                return Session(experiment).measure(case, prepared).as_json(), passes
            except Killed:
                return None, passes - 1

    return run


@pytest.mark.parametrize("task", TASKS)
def test_a_case_killed_anywhere_ends_with_the_undisturbed_record(level, run, task):
    experiment, _ = level
    case = Case(NANO, PRUNING, STUDY.tasks[task])
    run(case)  # the scorer's self-check is done once
    undisturbed, passes = run(case)
    assert passes >= 5
    assert undisturbed["resumed"] is None
    assert undisturbed["energy"]["total_j"] > 0
    samples = experiment.store.read_samples(Samples(**undisturbed["samples"]))
    path = experiment.store.unfinished_path(RecordId(case, experiment.settings.limit))
    for kills in (1, 1, 3):
        done = 0
        for place in sorted(random.Random(f"{task} {kills}").sample(range(3, passes + 1), kills)):
            record, again = run(case, kill_after=max(1, place - done))
            assert record is None
            assert path.exists()
            assert experiment.recorder.has_journal(case)
            done += again
        record, again = run(case)
        for part in ("score", "runtime", "pruning", "done_key"):
            assert record[part] == undisturbed[part]
        assert experiment.store.read_samples(Samples(**record["samples"])) == samples
        assert done + again <= passes + kills * AGAIN[experiment.settings.scorer]
        assert not path.exists()
        assert not experiment.recorder.has_journal(case)
        assert len(record["resumed"]["runs"]) == kills
        assert record["resumed"]["answers"] + record["resumed"]["continued"] > 0
        assert record["timing"]["duration_s"] > record["resumed"]["seconds"] > 0
        # The window holds only the last part of the work: no energy rather than a wrong one.
        assert (record["energy"]["total_j"], record["energy"]["quality"]) == (None, None)
        assert "the case was interrupted" in record["energy"]["cpu"]["reason"]


def test_rerun_takes_nothing_from_an_interrupted_run(level, run):
    experiment, _ = level
    case = Case(NANO, PRUNING, STUDY.tasks["narrative"])
    run(case)  # the scorer's self-check is done once
    undisturbed, passes = run(case)
    assert run(case, kill_after=passes)[0] is None
    settings = experiment.settings
    try:
        object.__setattr__(settings, "rerun", True)
        record, again = run(case)
    finally:
        object.__setattr__(settings, "rerun", False)
    assert (record["resumed"], again) == (None, passes)
    assert record["score"] == undisturbed["score"]
