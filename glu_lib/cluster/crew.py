"""The workers of a run: who measures which group, and what becomes of the group of a worker that is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from glu_lib.cluster import engine
from glu_lib.cluster.actor import Run
from glu_lib.cluster.engine import Handle, Lost
from glu_lib.cluster.messages import Answered, Broken, Event, Finished, Idle, Setup, Started, Work
from glu_lib.cluster.slots import Slot
from glu_lib.cluster.terms import Terms
from glu_lib.cluster.turns import Group, Turns
from glu_lib.errors import ClusterError
from glu_lib.study.settings import Settings

_POLL_S = 1.0  # how long a worker waits for something to tell
_LEAVE_S = 5.0  # for good order at the end; then processes are ended

Offer = Callable[[Group], Work | None]


@dataclass(frozen=True, slots=True)
class Died:
    """A case whose worker has ended in the middle of it."""

    case_id: str
    text: str


@dataclass(frozen=True, slots=True)
class NoWorkers:
    """Cases that no worker is left for."""

    case_ids: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """A worker that could not start, or whose machine is gone: the others go on."""

    text: str


@dataclass(slots=True)
class Member:
    """A worker, the call that it is answering, and the group that it has."""

    handle: Handle
    call: Any = None
    is_ready: bool = False
    is_retired: bool = False
    group: Group | None = None
    case_id: str | None = None


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that the driver has to report, and whose it is."""

    member: Member | None
    event: Answered | Finished | Died | NoWorkers | Dropped


@dataclass(slots=True)
class Crew:
    """One worker per place. Ray repeats nothing; what is tried again, and where, is decided here."""

    slots: Sequence[Slot]
    _members: list[Member] = field(default_factory=list)
    _moved: dict[str, str] = field(default_factory=dict)  # cases that were on a lost node, and its name
    _last_loss: str = ""

    def muster(self, settings: Settings) -> dict[str, Terms]:
        """Start all workers; what they would measure with, by node.

        Raises:
            ClusterError: if one of them cannot start, in one line.
        """
        self._members = [Member(engine.start(slot)) for slot in self.slots]
        calls = [engine.call(member.handle, "terms", settings) for member in self._members]
        found = {}
        for member, call in zip(self._members, calls, strict=True):
            node = member.handle.slot.node
            said = engine.answer(member.handle, call, engine.START_S)
            terms, trouble = ({}, said.text) if isinstance(said, Lost) else said
            if trouble:
                raise ClusterError(f"--cluster: the worker on node {node} cannot start: {trouble}")
            found[node] = terms
        return found

    def run(
        self, turns: Turns, setup: Setup, serve: Run, offer: Offer, give_back: Callable[[Group], None]
    ) -> Iterator[Happening]:
        """Measure all groups of `turns`; yields what the driver has to write and report, as it happens.

        Args:
            turns: the groups.
            setup: what every worker needs.
            serve: runs a worker's cases, in its process.
            offer: the work of a group whose turn it is; None if there is none now.
            give_back: called with a group that no worker has any more.
        """
        shared = engine.shared(setup)
        for member in self._members:
            self._set_up(member, shared, serve)
        while turns.waiting or any(member.group for member in self._members):
            kinds = [member.handle.slot.kind for member in self._members]
            for group in turns.out_of_reach(kinds):
                text = f"no worker of the cluster is left{f': {self._last_loss}' if self._last_loss else ''}"
                yield Happening(None, NoWorkers(tuple(case.id for case in group.cases), text))
            for member in self._answering():
                said = engine.answer(member.handle, member.call)
                for event in () if isinstance(said, Lost) else said:
                    if isinstance(event, Broken):
                        said = Lost(with_node=False, text=event.text)
                        break
                    yield from self._take(member, event, give_back)
                if isinstance(said, Lost):
                    # Only in place of a worker that ended in a case: each one then costs a case, so that this ends.
                    is_replaced = not said.with_node and member.case_id is not None
                    yield from self._lose(member, said, turns, give_back)
                    if is_replaced:
                        self._replace(member.handle.slot, shared, serve)
                elif member.is_retired:
                    self._let_go(member, turns, give_back)
                else:
                    member.call = engine.call(member.handle, "poll", self._next(member, turns, offer), _POLL_S)

    def retire(self, member: Member) -> None:
        """Give a worker no more work: its process cannot measure any more, as after a failure of its GPU."""
        member.is_retired = True

    def last_words(self) -> Iterator[Answered | Finished]:
        """What the workers at work have to tell when the run stops: cases that ended just now, and unmailed answers."""
        at_work = [member for member in self._members if member.group is not None]
        calls = [engine.call(member.handle, "answers") for member in at_work]
        for member, call in zip(at_work, calls, strict=True):
            for event in (*(engine.last(member.call, _LEAVE_S) or ()), *(engine.last(call, _LEAVE_S) or ())):
                if isinstance(event, Answered | Finished):
                    yield event

    def dismiss(self) -> None:
        """End all workers."""
        calls = [engine.call(member.handle, "leave", _LEAVE_S / 2) for member in self._members]
        for member, call in zip(self._members, calls, strict=True):
            engine.last(call, _LEAVE_S)
            engine.dismiss(member.handle)
        self._members = []

    def _set_up(self, member: Member, shared: Any, serve: Run) -> None:
        engine.call(member.handle, "begin", shared, serve)
        member.call = engine.call(member.handle, "poll", None, _POLL_S)

    def _replace(self, slot: Slot, shared: Any, serve: Run) -> None:
        member = Member(engine.start(slot))
        self._members.append(member)
        self._set_up(member, shared, serve)

    def _answering(self) -> list[Member]:
        if not self._members:
            return []
        ready = engine.first_ready([member.call for member in self._members], _POLL_S)
        return [member for member in self._members if member.call in ready]

    def _next(self, member: Member, turns: Turns, offer: Offer) -> Work | None:
        while member.is_ready and member.group is None:
            group = turns.take(member.handle.slot.kind, monotonic())
            if group is None:
                return None
            if (work := offer(group)) is not None:
                member.group = group
                return work
        return None

    def _take(self, member: Member, event: Event, give_back: Callable[[Group], None]) -> Iterator[Happening]:
        if isinstance(event, Idle):
            if member.group is not None:
                give_back(member.group)
            member.is_ready, member.group, member.case_id = True, None, None
        elif isinstance(event, Answered):
            if event.case_id == member.case_id:
                yield Happening(member, event)
        elif isinstance(event, Started):
            member.case_id = event.case_id
        elif isinstance(event, Finished):
            member.case_id = None
            if member.group is not None:
                member.group.cases = [case for case in member.group.cases if case.id != event.case_id]
            yield Happening(member, event)

    def _lose(
        self, member: Member, lost: Lost, turns: Turns, give_back: Callable[[Group], None]
    ) -> Iterator[Happening]:
        """A worker is gone: its case moves once if its machine is gone too, and fails otherwise."""
        node, case_id = member.handle.slot.node, member.case_id
        what = f"node {node} is lost" if lost.with_node else f"the worker on node {node} ended ({lost.text})"
        self._last_loss = what
        died = None
        if case_id is not None and member.group is not None:
            if lost.with_node and case_id not in self._moved:
                self._moved[case_id] = node
            else:
                before = f", after node {self._moved[case_id]} was lost" if case_id in self._moved else ""
                died = Died(case_id, f"{case_id}: {what} in the middle of this case{before}; go on with: pytest --lf")
                member.group.cases = [case for case in member.group.cases if case.id != case_id]
        self._let_go(member, turns, give_back)
        if died is not None:
            yield Happening(member, died)
        else:
            yield Happening(member, Dropped(what))

    def _let_go(self, member: Member, turns: Turns, give_back: Callable[[Group], None]) -> None:
        self._members.remove(member)
        engine.dismiss(member.handle)
        if member.group is not None:
            give_back(member.group)
            if member.group.cases:
                turns.put_back(member.group)
        member.group = member.case_id = None
