"""The state of a case for a listing, without access to models that have no record in the results folder."""

from __future__ import annotations

from glu_lib.errors import AccessError, TemplateError
from glu_lib.results.address import RecordId
from glu_lib.results.staleness import CaseState, Status
from glu_lib.run.experiment import Experiment
from glu_lib.study.cases import Case


def case_state(experiment: Experiment, case: Case) -> CaseState:
    """State of a case; its model is identified only if the case has a record."""
    path = experiment.store.record_path(RecordId(case, experiment.settings.limit))
    if not path.exists():
        return CaseState(Status.PENDING, path)
    try:
        return experiment.state(case)
    except (AccessError, TemplateError) as error:
        return CaseState(Status.STALE, path, f"cannot be checked: {error}")
