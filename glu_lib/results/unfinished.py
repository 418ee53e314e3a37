"""The journal of an unfinished case: its answers so far, bound to its done key and read back after a kill."""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from glu_lib.errors import RecordError, one_line
from glu_lib.results.folder import ResultsFolder
from glu_lib.results.journal_lines import LONGEST_TEXT, has_binding, line_of, whole_lines
from glu_lib.results.writing import write_at

FLUSH_S = 2.0  # between two writes: a kill loses at most these seconds of answers and the current batch
PROGRESS_S = 2.0  # between two entries for a batch of generations that is still running
_KEY_BYTES = 16


def request_key(*parts: Iterable[int] | str) -> str:
    """Key of a request: a digest of its token ids (below 2³¹) and texts, in order."""
    digest = blake2b(digest_size=_KEY_BYTES)
    for part in parts:
        content = part.encode() if isinstance(part, str) else array("i", part).tobytes()
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()


@dataclass(slots=True)
class Answers:
    """The journal of one case: answers by `request_key`, from this run and from interrupted runs.

    The file holds one line per batch. Each line has a checksum, so that a torn line is detected and skipped. The first
    write comes after FLUSH_S seconds, so a short case never touches the disk. A file with another binding (another done
    key, another scorer) is ignored and overwritten.

    Attributes:
        folder: the results folder.
        path: the journal's file.
        binding: fields that must be equal for the answers of two runs to belong together.
        run: fields that describe this run.
        is_fresh: ignore answers of earlier runs.
        earlier: for each earlier run its describing fields, its seconds and the number of its answers.
        batch_size: sequences per batch that fitted into memory; None unless memory made it smaller than requested.
    """

    folder: ResultsFolder
    path: Path
    binding: Mapping[str, Any]
    run: Mapping[str, Any]
    is_fresh: bool = False
    earlier: list[dict[str, Any]] = field(default_factory=list)
    batch_size: int | None = None
    _known: dict[str, Any] = field(default_factory=dict)
    _begun: dict[str, list[int]] = field(default_factory=dict)
    _waiting: list[dict[str, Any]] = field(default_factory=list)
    _interrupted: set[str] = field(default_factory=set)  # requests whose answer holds tokens of two runs
    _written_bytes: int = 0  # of complete lines with this binding
    _is_announced: bool = False
    _start_s: float = field(default_factory=time.monotonic)
    _flushed_s: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if not self.is_fresh:
            self._read()

    def resumed(self) -> dict[str, Any] | None:
        """The record's field `resumed`: answers and seconds from earlier runs, and those runs; None without any.

        `continued` counts the generations that were interrupted and continued from their saved tokens.
        """
        if not self.earlier:
            return None
        return {
            "answers": sum(run["answers"] for run in self.earlier),
            "continued": len(self._interrupted),
            "seconds": sum(run["seconds"] for run in self.earlier),
            "runs": self.earlier,
        }

    def get(self, key: str) -> Any | None:
        """The answer to a request; None if the journal has none."""
        return self._known.get(key)

    def begun(self, key: str) -> list[int]:
        """Saved tokens of a generation that was interrupted; empty for all others."""
        return self._begun.get(key, [])

    def put(self, answers: Mapping[str, Any], *, batch_size: int | None = None) -> None:
        """Add the answers of a batch (JSON values), and flush if it is due.

        Args:
            answers: by `request_key`; all numbers finite.
            batch_size: sequences per batch, if memory made it smaller than requested.

        Raises:
            RecordError: if the journal cannot be written.
        """
        self._known.update(answers)
        self._add({"answers": dict(answers), **({} if batch_size is None else {"batch_size": batch_size})})
        self.flush_if_due()

    def hold(self, key: str, answer: Any) -> None:
        """Add one answer without flushing; `flush_if_due` follows before the next batch."""
        self._known[key] = answer
        self._add({"answers": {key: answer}})

    def put_begun(self, tokens: Mapping[str, Sequence[int]]) -> None:
        """Add the tokens of running generations, and flush if it is due; only new tokens are written.

        Args:
            tokens: by `request_key`; all tokens of each generation so far.

        Raises:
            RecordError: if the journal cannot be written.
        """
        news: dict[str, list[Any]] = {}
        for key, found in tokens.items():
            known = self.begun(key)
            shared = len(known) if list(found[: len(known)]) == known else 0
            if len(found) > shared or not shared:
                # A digest of the earlier tokens shows on reading whether the line that holds them was lost.
                news[key] = [shared, request_key(found[:shared]), *found[shared:]]
                self._begun[key] = list(found)
        self._add({"begun": news})
        self.flush_if_due()

    def flush(self) -> None:
        """Write all waiting lines.

        Raises:
            RecordError: if they cannot be written; they stay waiting.
        """
        if not self._waiting:
            return
        lines = list(self._waiting)
        if not self._is_announced:
            lines.insert(0, {"run": dict(self.run)})
        if self._written_bytes == 0:
            lines.insert(0, {"binding": self.binding})
        data = b"".join(map(line_of, lines))
        try:
            self.folder.make_room(self.path)
            write_at(self.path, self._written_bytes, data)
        except OSError as error:
            raise RecordError(
                f"{self.path}: the journal of answers cannot be written ({error.strerror}); check free space "
                "and permissions, then pytest --lf resumes from the answers written before"
            ) from error
        self._written_bytes += len(data)
        self._waiting, self._is_announced, self._flushed_s = [], True, time.monotonic()

    def flush_if_due(self) -> None:
        """Write all waiting lines if the last write was FLUSH_S seconds ago or more.

        Raises:
            RecordError: if they cannot be written; they stay waiting.
        """
        if time.monotonic() - self._flushed_s >= FLUSH_S:
            self.flush()

    def remove(self) -> None:
        """Delete the journal, after the record is written."""
        self._waiting = []
        with suppress(OSError):  # if deleting fails, the next run that finds the case done deletes it
            self.folder.check_inside(self.path)
            self.path.unlink(missing_ok=True)

    def _add(self, line: dict[str, Any]) -> None:
        self._waiting.append(line | {"seconds": round(time.monotonic() - self._start_s, 3)})

    def _read(self) -> None:
        try:
            data = self.path.read_bytes()
        except OSError:
            return  # no journal, or an unreadable one: the case starts from the beginning
        lines = whole_lines(data)
        if not has_binding(next(lines, None), self.binding):
            return
        for line, end in lines:
            with suppress(LookupError, TypeError, ValueError, AttributeError):  # valid checksum, unknown content
                self._take(line)
            self._written_bytes = end
        self._interrupted |= {key for key, tokens in self._begun.items() if tokens and key not in self._known}

    def _take(self, line: dict[str, Any]) -> None:
        """Read one line of an earlier run."""
        if "run" in line:
            self._interrupted |= self._begun.keys() - self._known.keys()
            described = {name: one_line(str(line["run"].get(name)))[:LONGEST_TEXT] for name in self.run}
            self.earlier.append(described | {"seconds": 0.0, "answers": 0})
            return
        if not self.earlier:  # the line that describes the run was damaged
            self.earlier.append({"seconds": 0.0, "answers": 0})
        answers = dict(line.get("answers", {}))
        begun = {}
        for key, (shared, digest, *tokens) in line.get("begun", {}).items():
            before = self._begun.get(key, [])[:shared]
            begun[key] = [*before, *map(int, tokens)] if request_key(before) == digest else []
        seconds = float(line["seconds"])
        if not 0 <= seconds < math.inf:
            raise ValueError(seconds)
        self.earlier[-1]["seconds"] = seconds
        self.earlier[-1]["answers"] += len(answers.keys() - self._known.keys())
        self._known.update(answers)
        self._begun.update(begun)
        self.batch_size = int(line["batch_size"]) if "batch_size" in line else self.batch_size
