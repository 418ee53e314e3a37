"""The leases of a driver: runs with and without a cluster may share a results folder."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from glu_lib.cluster.turns import Group
from glu_lib.errors import RecordError
from glu_lib.results.leases import PATIENCE_S
from glu_lib.run.plan import RESULTS_FOLDER
from glu_lib.run.session import Session
from glu_lib.study.cases import Case, CaseKind


@dataclass(slots=True)
class LevelClaims:
    """The leases of all groups that workers of this run have; `Session` itself holds one level at a time."""

    session: Session
    _held: dict[str, list[Case]] = field(default_factory=dict)

    def take(self, group: Group) -> bool:
        """Take the leases of a group and its cases; False if another run has one of them.

        A results folder that cannot be written blocks the cases in the plan.
        """
        leases, plan = self.session.leases, self.session.plan
        self._held[group.key] = list(group.cases)
        try:
            self.session.experiment.recorder.check_folder()
            is_mine = all(leases.take_level(case) for case in _of_level(group.cases)) and all(
                leases.take(case) for case in group.cases
            )
        except RecordError as error:
            plan.blocked[RESULTS_FOLDER] = RecordError(str(error))
            return True
        plan.blocked.pop(RESULTS_FOLDER, None)
        if not is_mine:
            self.give_back(group)
            group.refused_s = group.refused_s or time.monotonic()
        return is_mine

    def give_back(self, group: Group) -> None:
        """Release what this run has of a group, whatever became of it."""
        cases = self._held.pop(group.key, [])
        for case in cases:
            self.session.leases.give_back(case)
        for case in _of_level(cases):
            self.session.leases.give_level_back(case)

    def is_patient(self, group: Group) -> bool:
        """Whether a group that another run has is worth another try."""
        return group.refused_s is None or time.monotonic() - group.refused_s < PATIENCE_S


def _of_level(cases: list[Case]) -> list[Case]:
    """A case that needs the model of its level, if there is one: architecture cases load none."""
    return [case for case in cases if case.kind is not CaseKind.ARCHITECTURE][:1]
