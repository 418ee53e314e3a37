"""The script that measures growth, on two models: every step works on the study and the records that it makes."""

import growth
import pytest
from growth_parts.made_study import CASES_PER_MODEL, experiment_of, grown_cases, write_records, write_study
from growth_parts.steps import COMMANDS, STEPS, Measured

from glu_lib.results.record import read_record
from glu_lib.run.record_checks import check_records
from glu_lib.study import Task


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A study of two models, with a record of every case."""
    folder = tmp_path_factory.mktemp("growth")
    write_study(folder, 2 * CASES_PER_MODEL)
    (folder / "results").mkdir()
    experiment = experiment_of(folder / "study.toml", folder / "results")
    write_records(experiment, grown_cases(experiment))
    return folder


def test_the_study_has_the_cases_asked_for_and_their_records_are_sound(made):
    experiment = experiment_of(made / "study.toml", made / "results")
    cases = grown_cases(experiment)
    assert len(cases) == 2 * CASES_PER_MODEL
    assert {case.model.key for case in cases} == {"m00000x", "m00001x"}
    assert all(check.is_fine for check in check_records(experiment.store))
    record = read_record(experiment.store.record_path(experiment.states.address(cases[-1])))
    assert isinstance(cases[-1].subject, Task)
    assert record.score.headline.count == record.samples.count == 50
    assert record.pruning.parameters < record.pruning.unpruned_parameters


@pytest.mark.parametrize("name", [name for name in STEPS if name not in COMMANDS])
def test_each_step_works_on_what_was_made(made, name):
    measured = Measured()
    STEPS[name](made, measured)  # each asserts that it did its work
    assert measured.seconds > 0
    assert measured.bytes >= 0


def test_commands_are_measured_with_ten_thousand_cases_at_least_unless_all_are_few():
    assert growth.counts_of("list", [1000, 50_000]) == [10_000, 50_000]
    assert growth.counts_of("list", [100, 200]) == [100, 200]
    assert growth.counts_of("plan", [1000, 50_000]) == [1000, 50_000]
