"""The state of a case in this run: its done key, compared with the record in the results folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from glu_lib.errors import AccessError, StudyError, TemplateError
from glu_lib.machine.environment import Environment
from glu_lib.measure.tasks.task_library import TaskLibrary
from glu_lib.results.address import RecordId
from glu_lib.results.records import AccuracyRecord, Record
from glu_lib.results.staleness import CaseState, Status, baseline_differences, headline_differences
from glu_lib.results.store import Store
from glu_lib.run.done_key import done_key
from glu_lib.run.identities import Identities
from glu_lib.study import Task
from glu_lib.study.cases import Case, CaseKind
from glu_lib.study.settings import Settings


@dataclass(slots=True)
class CaseStates:
    """Compares records with done keys; every state is read from the results folder anew."""

    settings: Settings
    environment: Environment
    store: Store
    library: TaskLibrary
    identities: Identities

    def done_key(self, case: Case) -> dict[str, Any]:
        """The fields that a record of `case` must match in this run.

        Raises:
            AccessError: if its model cannot be identified.
            TemplateError: if its task needs a chat template and the model has none.
        """
        identity = None if case.kind is CaseKind.ARCHITECTURE else self.identities.of(case.model)
        return done_key(case, identity, self.settings, self.environment)

    def stored_as(self, case: Case) -> str | None:
        """How a GGUF file held the weights that `case` needs; None for safetensors, or without weights."""
        return None if case.kind is CaseKind.ARCHITECTURE else self.identities.of(case.model).stored_as

    def address(self, case: Case) -> RecordId:
        """The address of the record of `case` in this run."""
        return RecordId.of(case, self.settings.items)

    def of(self, case: Case) -> CaseState:
        """Whether `case` is done, stale or pending.

        Raises:
            AccessError: if its model cannot be identified.
            TemplateError: if its task needs a chat template and the model has none.
        """
        return self.store.state(self.address(case), self.done_key(case), partial(self._doubts, case))

    def listed(self, case: Case) -> CaseState:
        """The state of `case` for a listing; its model is identified only if the case has a record."""
        path = self.store.record_path(self.address(case))
        if not path.exists():
            return CaseState(Status.PENDING, path)
        try:
            return self.of(case)
        except (AccessError, TemplateError) as error:
            return CaseState(Status.STALE, path, f"cannot be checked: {error}")

    def _doubts(self, case: Case, record: Record) -> Iterator[str]:
        """Reasons why a record is stale although its done key matches."""
        task = case.subject
        if not isinstance(task, Task) or not isinstance(record, AccuracyRecord):
            return
        yield from headline_differences(task, record.score)
        yield from baseline_differences(case, record)
        if task.num_fewshot and not record.score.has("num_fewshot"):
            # Early versions recorded the requested number of examples, which lm-eval may not have used.
            try:
                self.library.check_few_shot(task)
            except StudyError as error:
                yield str(error)
