"""Which (model, level) group is whose turn: a model's levels stay on one kind of GPU."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from glu_lib.study.cases import Case


@dataclass(slots=True)
class Group:
    """The cases of a (model, level) that are still to be measured.

    Attributes:
        key: as `Case.group`.
        cases: in their order.
        not_before_s: no earlier turn than this time of the monotonic clock, as another run had the level.
        refused_s: since when another run has had it; None if it has not.
    """

    key: str
    cases: list[Case]
    not_before_s: float = 0.0
    refused_s: float | None = None

    @property
    def model(self) -> str:
        """The key of the model."""
        return self.cases[0].model.key


def groups_of(cases: Iterable[Case]) -> list[Group]:
    """The groups of `cases`, in the order of their first cases."""
    found: dict[str, Group] = {}
    for case in cases:
        found.setdefault(case.group, Group(case.group, [])).cases.append(case)
    return list(found.values())


@dataclass(slots=True)
class Turns:
    """The groups that no worker has, and the kind of GPU that each model was given to.

    A model is bound to the kind of GPU that measures its first level. A worker takes levels of models that are bound to
    its kind first, then binds another model.
    """

    waiting: list[Group]
    kinds: dict[str, str | None] = field(default_factory=dict)

    def take(self, kind: str | None, now_s: float) -> Group | None:
        """The next group for a worker on this kind of GPU (None: on CPUs); None if there is none now."""
        ready = [group for group in self.waiting if group.not_before_s <= now_s]
        bound = [group for group in ready if self.kinds.get(group.model, "") == kind]
        free = [group for group in ready if group.model not in self.kinds]
        for group in (*bound, *free):
            self.kinds[group.model] = kind
            self.waiting.remove(group)
            return group
        return None

    def put_back(self, group: Group, *, at_s: float = 0.0) -> None:
        """Give a group back: next in turn, or at the end and not before `at_s` of the monotonic clock."""
        group.not_before_s = at_s
        self.waiting.insert(len(self.waiting) if at_s else 0, group)

    def out_of_reach(self, kinds: Sequence[str | None]) -> list[Group]:
        """Remove and return the groups of models that are bound to a kind of GPU of which no worker is left."""
        lost = [group for group in self.waiting if self.kinds.get(group.model, kinds[0] if kinds else "") not in kinds]
        self.waiting = [group for group in self.waiting if group not in lost]
        return lost
