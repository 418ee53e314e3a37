"""The time that a run still needs, from what the same tasks took at other levels, in this run or in its records."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from glu_lib.errors import RecordError, StudyError
from glu_lib.machine.environment import Environment
from glu_lib.results.address import RecordId
from glu_lib.results.record import read_record
from glu_lib.results.store import Store
from glu_lib.study.cases import Case, CaseKind

Subject = tuple[str, str]  # keys of a model, and of a task or workload


@dataclass(frozen=True, slots=True)
class Taken:
    """Seconds that a case took, the parameters of its model (None: unknown), and whether it was this machine."""

    seconds: float
    parameters: int | None
    is_here: bool = True


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """Seconds of the cases whose time can be told, and how many others there are."""

    seconds: float
    unknown: int


@dataclass(slots=True)
class Clock:
    """Estimates how long the cases to come will take.

    A task has the same tokens at each level of a model, and a forward pass takes two operations per parameter and
    token. So a case takes what the same task took at another level, times the ratio of the two levels' parameters; of
    several levels of this run the median counts, because a case that goes on after a pause has the pause in its time.
    Times of another machine's records are multiplied by what the cases of this run took in relation to them, all
    together. Nothing is guessed for a task that has not been measured. An architecture case takes less than a second,
    once torch is imported, and counts as nothing.
    """

    recorded: dict[Subject, Taken] = field(default_factory=dict)
    _measured: dict[Subject, list[Taken]] = field(default_factory=dict)
    _loads_s: dict[str, float] = field(default_factory=dict)  # last preparation of a level, by model
    _took_s: float = 0.0  # in this run, of cases with a record of another machine
    _told_s: float = 0.0  # by those records

    def measured(self, case: Case, seconds: float) -> None:
        """Take note of the seconds that `case` took."""
        if case.kind is CaseKind.ARCHITECTURE:
            return
        if (told := self.recorded.get(_subject(case))) is not None and not told.is_here:
            self._took_s += seconds
            self._told_s += _scaled(told, parameters_of(case))
        self._measured.setdefault(_subject(case), []).append(Taken(seconds, parameters_of(case)))

    def loaded(self, case: Case, seconds: float) -> None:
        """Take note of the seconds that it took to prepare the level of `case`."""
        self._loads_s[case.model.key] = seconds

    def left(self, cases: Iterable[Case], *, loaded: Collection[str] = (), workers: int = 1) -> TimeLeft | None:
        """The time that `cases` will take; None if nothing is known of any of them.

        Args:
            cases: the cases to come.
            loaded: groups whose model is already prepared.
            workers: processes that share the groups; one group is never divided.
        """
        unknown, groups_s = 0, dict[str, float]()
        for case in cases:
            if case.kind is CaseKind.ARCHITECTURE:
                continue
            if (seconds := self._seconds(case)) is None:
                unknown += 1
                continue
            if case.group not in groups_s:
                groups_s[case.group] = 0.0 if case.group in loaded else self._loads_s.get(case.model.key, 0.0)
            groups_s[case.group] += seconds
        if not groups_s:
            return None
        return TimeLeft(max(sum(groups_s.values()) / workers, *groups_s.values()), unknown)

    def _seconds(self, case: Case) -> float | None:
        if measured := self._measured.get(_subject(case)):
            return _scaled(_median(measured), parameters_of(case))
        if (found := self.recorded.get(_subject(case))) is not None:
            speed = self._took_s / self._told_s if self._told_s and not found.is_here else 1.0
            return speed * _scaled(found, parameters_of(case))
        return None


def parameters_of(case: Case) -> int | None:
    """Parameters of the model that `case` measures; None if its shape is unknown, or the level does not fit it."""
    shape = case.model.architecture
    if shape is None:
        return None
    with suppress(StudyError):  # `Case.check_fits` tells it
        return shape.parameters(case.loaded.widths(shape.intermediate_size, shape.num_layers))
    return None


def recorded_times(
    store: Store, cases: Iterable[Case], limit: int | None, environment: Environment
) -> dict[Subject, Taken]:
    """What the tasks of `cases` took according to records of a results folder: the median over the levels.

    The median, because a run that was paused counts its pause. Records of this machine count alone if there are any.
    Records with another sample limit hold other items and do not count.

    Args:
        store: the results folder.
        cases: the cases of the run.
        limit: the run's sample limit.
        environment: the machine of the run, which that of a record is compared with.
    """
    here = (environment.device, environment.gpu, environment.cpu, environment.cores)
    wanted: dict[tuple[str, str], Subject] = {}
    for case in cases:
        ending = RecordId(case, limit).stem.removeprefix(f"{case.model.key}-{case.pruning.key}-")
        wanted.setdefault((case.model.key, ending), _subject(case))
    found: dict[Subject, list[Taken]] = {}
    for path in store.record_paths():
        model, level = path.parts[-3:-1]
        subject = wanted.get((model, path.stem.removeprefix(f"{model}-{level}-")))
        if subject is None:
            continue
        with suppress(RecordError):  # the run's header and `glu validate` tell it
            record = read_record(path)
            theirs = record.environment
            is_here = (theirs.device, theirs.gpu, theirs.cpu, theirs.cores) == here
            taken = Taken(record.timing.duration_s, record.pruning.parameters, is_here)
            found.setdefault(subject, []).append(taken)
    return {subject: _median(times) for subject, times in found.items()}


def _median(times: Sequence[Taken]) -> Taken:
    """The median of the times per parameter; the lower one of two."""
    here = [taken for taken in times if taken.is_here] or times
    return sorted(here, key=lambda taken: taken.seconds / (taken.parameters or 1))[(len(here) - 1) // 2]


def _subject(case: Case) -> Subject:
    return case.model.key, case.subject_key


def _scaled(taken: Taken, parameters: int | None) -> float:
    if taken.parameters is None or parameters is None:
        return taken.seconds
    return taken.seconds * parameters / taken.parameters
