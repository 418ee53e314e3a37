"""Which items of a data set a run scores: all, the first, some spread over the set, or those that a file names."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from glu_lib.errors import SettingsError
from glu_lib.study.tasks import Task

_FILE_KEY = re.compile(r"[a-z0-9][a-z0-9_]{0,29}")

Indices = tuple[tuple[str, tuple[int, ...]], ...]  # of each of lm-eval's tasks, ascending


class LimitFrom(StrEnum):
    """Where a limited run takes its items from."""

    START = "start"  # the first items of the data set
    SPREAD = "spread"  # in equal steps over the whole data set


@dataclass(frozen=True, slots=True)
class SampleFile:
    """The items that a file chooses, as lm-eval's `--samples`: a JSON object of lm-eval's task names and their indices.

    `key` is the file's name, as it stands in file names and tables; `chosen` holds each task's share, by the task's key
    in the study; `most` is the length of the longest list.
    """

    key: str
    chosen: tuple[tuple[str, Indices], ...]
    most: int

    @classmethod
    def read(cls, path: Path, tasks: Mapping[str, Task]) -> SampleFile:
        """Read a file of samples for the tasks of a study.

        A name of the file is lm-eval's name of a task, of one of its subtasks, or the study's key of a task.

        Raises:
            SettingsError: one line with value, rule and remedy.
        """
        place = f"--samples {path}"
        if path.suffix != ".json" or not _FILE_KEY.fullmatch(path.stem):
            raise SettingsError(
                f"{place}: the file must be called NAME.json, NAME of at most 30 lower-case letters, digits and _ (it "
                "names the records); rename it"
            )
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise SettingsError(
                f"{place}: not readable JSON ({error}); give a file as for lm-eval's --samples"
            ) from error
        if not isinstance(found, dict) or not found:
            raise SettingsError(f'{place}: must be an object of tasks with their items, such as {{"piqa": [0, 7, 12]}}')
        shares: dict[str, dict[str, tuple[int, ...]]] = {}
        for name, indices in found.items():
            checked = _checked(place, name, indices)
            owners = list(_owners(name, tasks))
            if not owners:
                raise SettingsError(
                    f"{place}: {name!r} is no task of the study; name tasks or subtasks as lm-eval does, such as "
                    f"{next(iter(tasks.values())).lm_eval_name!r}"
                )
            for owner in owners:
                shares.setdefault(owner.key, {})[owner.lm_eval_name if name == owner.key else name] = checked
        chosen = tuple((key, tuple(sorted(share.items()))) for key, share in sorted(shares.items()))
        return cls(path.stem, chosen, max(len(indices) for _, share in chosen for _, indices in share))

    def of(self, task: Task) -> Indices:
        """The items of `task`, by lm-eval's names; empty if the file does not name the task."""
        return dict(self.chosen).get(task.key, ())


@dataclass(frozen=True, slots=True)
class Items:
    """The items of one case: at most `limit` of each data set; None: all.

    `subset` says which, if they are not the first ones: `spread`, or `samples_<file>`, whose `indices` are given.
    """

    limit: int | None = None
    subset: str | None = None
    indices: Indices = ()

    @property
    def digest(self) -> str | None:
        """The subset with a digest of its indices, for the done key; None for all or the first items."""
        if not self.indices:
            return self.subset
        return f"{self.subset} {hashlib.sha256(json.dumps(self.indices).encode()).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class ItemChoice:
    """Which items the cases of a run score."""

    limit: int | None = None
    limit_from: LimitFrom = LimitFrom.START
    samples: SampleFile | None = None

    @property
    def chosen(self) -> Items:
        """The items of a task that the choice is about; a file leaves the tasks whole that it does not name."""
        if self.samples:
            return Items(self.samples.most, f"samples_{self.samples.key}")
        is_spread = self.limit is not None and self.limit_from is LimitFrom.SPREAD
        return Items(self.limit, str(LimitFrom.SPREAD) if is_spread else None)

    def of(self, subject: Any) -> Items:
        """The items of a case with this subject; prompts of workloads and rows of layer scans are always the first."""
        if not isinstance(subject, Task):
            return Items(self.limit)
        if self.samples is None:
            return self.chosen
        indices = self.samples.of(subject)
        return Items(self.chosen.limit, self.chosen.subset, indices) if indices else Items()


def spread(count: int, limit: int) -> tuple[int, ...]:
    """At most `limit` of `count` items, in equal steps from the first one: ⌊i · count / limit⌋."""
    size = min(count, limit)
    return tuple(number * count // size for number in range(size))


def _checked(place: str, name: str, indices: Any) -> tuple[int, ...]:
    if not isinstance(indices, list) or not indices:
        raise SettingsError(
            f"{place}: {name!r} has {str(indices)[:40]!r}; it must have a list of items, such as [0, 7]"
        )
    for index in indices:
        if not isinstance(index, int) or isinstance(index, bool) or index < 0:
            raise SettingsError(f"{place}: {name!r} lists {str(index)[:40]!r}; items are whole numbers from 0")
    if len(set(indices)) < len(indices):
        raise SettingsError(f"{place}: {name!r} lists an item twice; list each once")
    # lm-eval takes the documents in the data set's order and names them by their place in the list.
    return tuple(sorted(indices))


def _owners(name: str, tasks: Mapping[str, Task]) -> Iterator[Task]:
    """The tasks of a study that `name` means: by lm-eval's name or key, else the group whose subtask it is."""
    exact = [task for task in tasks.values() if name in (task.lm_eval_name, task.key)]
    if exact:
        yield from exact
        return
    groups = [task for task in tasks.values() if name.startswith(f"{task.lm_eval_name}_")]
    longest = max((len(task.lm_eval_name) for task in groups), default=0)
    yield from (task for task in groups if len(task.lm_eval_name) == longest)
