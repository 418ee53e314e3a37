import copy
import dataclasses
import json

import pytest

from glu_lib.results.address import RecordId
from glu_lib.results.record import sealed
from glu_lib.results.records import parse_record
from glu_lib.run.experiment import Experiment
from glu_lib.run.session import Session
from glu_lib.run.validation import validate
from glu_lib.study import STUDY
from glu_lib.study.cases import Case
from glu_lib.study.pruning import Pruning
from glu_lib.study.settings import Settings


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A real energy record, and the run that it is from."""
    workload = dataclasses.replace(STUDY.workloads["facts_throughput_b8"], num_prompts=4, new_tokens=3)
    case = Case(STUDY.models["nano"], Pruning(40), workload)
    folder = tmp_path_factory.mktemp("consistency")
    experiment = Experiment(Settings(folder, threads=1, min_window_s=0.4, idle_s=0, allow_shared=True))
    with experiment.levels.prepared(case.model, case.pruning) as prepared:
        return Session(experiment).measure(case, prepared).as_json(), experiment, case


def test_a_record_as_measured_agrees_with_itself(measured):
    assert parse_record(measured[0]).doubts() == []


def edit(record, path, value):
    *places, last = path
    for place in places:
        record = record[place]
    record[last] = value(record[last]) if callable(value) else value


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        (("repeats", 0, "tokens_per_s"), 1e6, "tokens_per_s is 1000000.0, its window gives"),
        (("repeats", 1, "energy_per_token_j"), 1e-9, "energy_per_token_j is 1e-09, its window gives"),
        (("repeats", 1, "natural", "energy_per_response_j"), 7.0, "natural length: energy_per_response_j is 7.0"),
        (("profile", "tokens_per_s", "mean"), 5.0, "mean tokens_per_s is 5.0, its repeats give"),
        (("repeats", 2, "net_energy_per_token_j"), 1e9, "J per token is above gross"),
        (("repeats", 0, "energy", "ram", "quality"), "measured", "ram energy of ram_model is called measured"),
        (("repeats", 0, "energy", "is_short"), False, "is shorter than its counters' step, is_short is false"),
        (("repeats", 0, "time_to_first_token_ms"), 1e9, "s to the first token in a window of"),
        (("repeats", 0, "energy", "total_j"), None, "its parts have energies, its total is null"),
    ],
)
def test_a_figure_that_was_edited_disagrees_with_the_others(measured, path, value, line):
    record = copy.deepcopy(measured[0])
    edit(record, path, value)
    assert any(line in found for found in parse_record(record).contradictions())


def foreign(experiment, case, record):
    """Put a record into the folder as it may come from elsewhere."""
    path = experiment.store.record_path(RecordId(case))
    path.write_text(json.dumps(sealed(record)))
    return path


def test_power_that_no_machine_draws_is_named(measured):
    record = copy.deepcopy(measured[0])
    for name in ("cpu", "ram"):
        edit(record, ("repeats", 0, "energy", name, "energy_j"), lambda joules: joules * 1e5)
    edit(record, ("repeats", 0, "energy", "total_j"), lambda joules: joules * 1e5)
    lines = parse_record(record).doubts()
    assert any("the hardware's limits add up to 2000 W" in line for line in lines)


def test_validate_goes_on_after_a_record_that_is_not_complete(measured):
    record, experiment, case = copy.deepcopy(measured[0]), measured[1], measured[2]
    del record["repeats"][0]["conditions"]
    path = foreign(experiment, case, record)
    found = [finding for finding in validate(experiment, []) if finding.subject == "records"]
    assert [finding.is_fine for finding in found] == [False, True]
    assert "repeats[0].conditions is missing" in found[0].text
    assert str(path) in found[0].text


def test_a_total_that_lacks_a_part_is_found_by_validate(measured):
    record, experiment, case = copy.deepcopy(measured[0]), *measured[1:]
    edit(record, ("repeats", 1, "energy", "cpu", "energy_j"), None)
    path = foreign(experiment, case, record)
    lines = [finding.text for finding in validate(experiment, []) if not finding.is_fine]
    assert any(
        line.startswith("its energy, seed 123, has a total without the CPU") and str(path) in line for line in lines
    )
