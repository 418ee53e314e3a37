"""Records of every kind, as a run writes them: byte for byte what the types write again."""

import dataclasses
import json

import pytest

from glu_lib.results.record import read_record
from glu_lib.run.experiment import Experiment
from glu_lib.run.session import Session
from glu_lib.study import STUDY, Saturation
from glu_lib.study.case_kinds import CaseKind
from glu_lib.study.cases import Case
from glu_lib.study.pruning import Pruning

SUBJECTS = {
    CaseKind.ACCURACY: STUDY.tasks["facts"],
    CaseKind.ENERGY: dataclasses.replace(STUDY.workloads["facts_throughput_b8"], num_prompts=2, new_tokens=3),
    CaseKind.SERVING: Saturation("serving_saturation", None, new_tokens=3, max_batch=2, seeds=(42,), prompt_tokens=8),
    CaseKind.ARCHITECTURE: "architecture",
    CaseKind.LAYERS: STUDY.scan,
}


@pytest.mark.parametrize("kind", list(CaseKind))
def test_the_fields_stand_in_the_types_order(settings, kind):
    case = Case(STUDY.models["nano"], Pruning(40), SUBJECTS[kind])
    assert case.kind is kind
    experiment = Experiment(settings)
    session = Session(experiment)
    session.begin([case])
    if kind is CaseKind.ARCHITECTURE:
        session.measure(case, None)
    else:
        with session.prepared(case.model, case.pruning) as prepared:
            session.measure(case, prepared)
    path = experiment.states.of(case).path
    again = json.dumps(read_record(path).as_json(), ensure_ascii=False, indent=1)
    assert path.read_text(encoding="utf-8") == f"{again}\n"
