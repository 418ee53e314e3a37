"""lm-eval's index of tasks, as far as it is needed: only the folders that mention a name are parsed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

_SUFFIXES = ("", ".yaml", ".yml")  # many of the files that others include have no suffix
# Lines with another key name no task, group or tag that the file defines or has as a member.
_OTHER_KEY = re.compile(rb"(?m)^[ \t]*(?:-[ \t]+)?(?!task\b|group\b|tag\b|include\b)[\w-]+[ \t]*:.*$")
_OTHER_FOLDER = re.compile(rb"(?m)^[ \t]*(?:include[ \t]*:|-)[ \t]*[\"']?((?:\.\./)+[^\s\"']+)")


@dataclass(slots=True)
class TaskIndex:
    """Index of the tasks, groups and tags below a folder, by name, as `TaskManager.task_index` gives it.

    lm-eval parses some 14,000 files for its own index, which takes ten seconds. Here a name is first searched as text,
    which takes milliseconds, and only the folders that mention it are parsed, by lm-eval. A name of several definitions
    has the first one, as in lm-eval.
    """

    root: Path
    _texts: dict[str, bytes] = field(default_factory=dict)  # what the files of each folder may name
    _users: dict[str, set[str]] = field(default_factory=dict)  # folders that include files of a folder
    _parsed: dict[str, dict[str, Any]] = field(default_factory=dict)
    _searched: set[str] = field(default_factory=set)
    _entries: dict[str, Any] = field(default_factory=dict)

    def entries(self, name: str) -> dict[str, Any]:
        """The index with `name` and all its members, and whatever else their folders define; may lack `name`."""
        waiting = [name]
        while waiting:
            asked = waiting.pop()
            if asked not in self._searched:
                self._searched.add(asked)
                if new := [folder for folder in self._mentioning(asked) if folder not in self._parsed]:
                    self._parsed |= {folder: _parse(self.root / folder) for folder in new}
                    self._entries = _joined(self._parsed[folder] for folder in self._in_order())
            waiting += [member for member in self._members(asked) if member not in self._searched]
        return self._entries

    def _in_order(self) -> list[str]:
        """The parsed folders in the order in which lm-eval reads them: by path."""
        return sorted(self._parsed, key=lambda folder: f"{folder}/")

    def _members(self, name: str) -> list[str]:
        entry = self._entries.get(name)
        if entry is None:
            return []
        return list(entry.tags) if entry.kind.name == "TAG" else list(_names((entry.cfg or {}).get("task")))

    def _mentioning(self, name: str) -> set[str]:
        """The folders whose files mention `name`, and those that include files of such a folder."""
        if not self._texts:
            self._read()
        word = name.encode()
        whole = re.compile(rb"(?<![\w-])" + re.escape(word) + rb"(?![\w-])")
        found = {folder for folder, text in self._texts.items() if word in text and whole.search(text)}
        return found.union(*(self._users.get(folder, ()) for folder in found))

    def _read(self) -> None:
        for folder in self.root.iterdir():
            if not folder.is_dir():
                continue
            parts = []
            for path in folder.rglob("*"):
                if path.suffix not in _SUFFIXES or not path.is_file():
                    continue
                text = path.read_bytes()
                parts.append(_OTHER_KEY.sub(b"", text))
                for used in _OTHER_FOLDER.findall(text):
                    target = (path.parent / used.decode()).resolve()
                    if target.is_relative_to(self.root):
                        self._users.setdefault(target.relative_to(self.root).parts[0], set()).add(folder.name)
            self._texts[folder.name] = b"\n".join(parts)


def _names(members: Any) -> Iterator[str]:
    """The names in a group's list of members, which may be tables or groups written in place."""
    for member in members if isinstance(members, list) else ():
        if isinstance(member, str):
            yield member
        elif isinstance(member, dict):
            yield from (str(member[key]) for key in ("task", "group") if isinstance(member.get(key), str))
            yield from _names(member.get("task"))


def _parse(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = folder_manager(folder).task_index
    return found


def _joined(indexes: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The indexes of several folders as one: the first definition of a name counts, and a tag has all its tasks."""
    joined: dict[str, Any] = {}
    for index in indexes:
        for name, entry in index.items():
            if name not in joined:
                joined[name] = entry
            elif entry.kind.name == "TAG":
                joined[name].tags |= entry.tags
    return joined


def manager_of(name: str) -> Any:
    """lm-eval's task manager, whose index has `name` with its members if lm-eval knows it.

    A name that the search does not find is looked up in the complete index, which takes ten seconds.
    """
    manager = _growing_manager()
    manager.task_index.update(_own_index().entries(name))
    return manager if name in manager.task_index else complete_manager()


@cache
def folder_manager(folder: Path) -> Any:
    """lm-eval's task manager for the task files of a folder alone."""
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=str(folder), include_defaults=False)


@cache
def _growing_manager() -> Any:
    from lm_eval.tasks import TaskManager

    return TaskManager(include_defaults=False)


@cache
def complete_manager() -> Any:
    """lm-eval's task manager with its complete index."""
    from lm_eval.tasks import TaskManager

    return TaskManager()


@cache
def _own_index() -> TaskIndex:
    """The index of the tasks that lm-eval brings; what was once searched is kept for the process."""
    import lm_eval.tasks

    return TaskIndex(Path(lm_eval.tasks.__file__).parent)
