"""Answers of an unfinished case: kept on disk as it goes, bound to its done key, read back after a kill."""

from __future__ import annotations

import json
import math
import time
import zlib
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from glu_lib.errors import RecordError, one_line
from glu_lib.results.folder import ResultsFolder
from glu_lib.results.writing import write_at

FLUSH_S = 2.0  # what was answered reaches the disk so often: a kill costs no more, and the batch at hand
PROGRESS_S = 2.0  # a batch of generations that takes longer is kept so often as well
_KEY_BYTES = 16
_LONGEST_TEXT = 200  # characters of what an earlier run tells of itself
_LONGEST_LINE = 1 << 20  # bytes of a binding


def request_key(*parts: Iterable[int] | str) -> str:
    """Name of a request by what it asks: token ids (below 2³¹) and texts, in order."""
    digest = blake2b(digest_size=_KEY_BYTES)
    for part in parts:
        content = part.encode() if isinstance(part, str) else array("i", part).tobytes()
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()


@dataclass(slots=True)
class Answers:
    """What a case's requests were answered, by `request_key`: this run's answers and those of runs that were killed.

    The file holds one line per batch, each with its checksum, so that a torn line is seen and left out. It is written
    first when FLUSH_S seconds of work are at stake: a short case never touches the disk. A file that was bound to
    something else (another done key, another scorer) is not read, and replaced.

    `binding` is what answers must have in common to be mixed, `run` what is told of this run, `is_fresh` asks for a
    start from nothing. `earlier` are the earlier runs: what each told of itself, its seconds, how many answers it left.
    `batch_size` is what fitted into memory when it was less than was asked.
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
    _interrupted: set[str] = field(default_factory=set)  # requests whose answer is made of two runs' tokens
    _written_bytes: int = 0  # of whole lines that belong to this binding
    _is_announced: bool = False
    _start_s: float = field(default_factory=time.monotonic)
    _flushed_s: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if not self.is_fresh:
            self._read()

    def resumed(self) -> dict[str, Any] | None:
        """What a record says of its earlier runs: answers and seconds taken over, and from whom; None without any.

        `continued` are generations that were interrupted in the middle and went on from the tokens they had.
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
        """The answer to a request; None if it has none yet."""
        return self._known.get(key)

    def begun(self, key: str) -> list[int]:
        """The tokens that an interrupted generation had so far; usually none."""
        return self._begun.get(key, [])

    def put(self, answers: Mapping[str, Any], *, batch_size: int | None = None) -> None:
        """Keep the answers of a batch (JSON values).

        Args:
            answers: by `request_key`; all numbers finite.
            batch_size: sequences per batch, if memory made it smaller than was asked.

        Raises:
            RecordError: if they cannot be written.
        """
        self._known.update(answers)
        self._add({"answers": dict(answers), **({} if batch_size is None else {"batch_size": batch_size})})
        self.flush_if_due()

    def hold(self, key: str, answer: Any) -> None:
        """Keep one answer of a batch whose end is not known here: whoever begins the next one calls `flush_if_due`."""
        self._known[key] = answer
        self._add({"answers": {key: answer}})

    def put_begun(self, tokens: Mapping[str, Sequence[int]]) -> None:
        """Keep the tokens that generations have so far, all of them; only what is new is written.

        Raises:
            RecordError: if they cannot be written.
        """
        news: dict[str, list[Any]] = {}
        for key, found in tokens.items():
            known = self.begun(key)
            shared = len(known) if list(found[: len(known)]) == known else 0
            if len(found) > shared or not shared:
                # What comes before is told by its digest: a line that was lost must not leave a hole.
                news[key] = [shared, request_key(found[:shared]), *found[shared:]]
                self._begun[key] = list(found)
        self._add({"begun": news})
        self.flush_if_due()

    def flush(self) -> None:
        """Write what is waiting.

        Raises:
            RecordError: if it cannot be written; it goes on waiting.
        """
        if not self._waiting:
            return
        lines = list(self._waiting)
        if not self._is_announced:
            lines.insert(0, {"run": dict(self.run)})
        if self._written_bytes == 0:
            lines.insert(0, {"binding": self.binding})
        data = b"".join(map(_line, lines))
        try:
            self.folder.make_room(self.path)
            write_at(self.path, self._written_bytes, data)
        except OSError as error:
            raise RecordError(
                f"{self.path}: what is answered so far cannot be kept ({error.strerror}); free space or rights, then "
                "pytest --lf goes on with what was kept before"
            ) from error
        self._written_bytes += len(data)
        self._waiting, self._is_announced, self._flushed_s = [], True, time.monotonic()

    def flush_if_due(self) -> None:
        """Write what is waiting if FLUSH_S seconds have passed since the last time.

        Raises:
            RecordError: if it cannot be written; it goes on waiting.
        """
        if time.monotonic() - self._flushed_s >= FLUSH_S:
            self.flush()

    def remove(self) -> None:
        """Delete the file: the case has its record now."""
        self._waiting = []
        with suppress(OSError):  # one that is left is deleted when the case is seen to be done
            self.folder.check_inside(self.path)
            self.path.unlink(missing_ok=True)

    def _add(self, line: dict[str, Any]) -> None:
        self._waiting.append(line | {"seconds": round(time.monotonic() - self._start_s, 3)})

    def _read(self) -> None:
        try:
            data = self.path.read_bytes()
        except OSError:
            return  # none was begun, or it cannot be read: the case starts anew
        lines = _whole_lines(data)
        if not _is_binding(next(lines, None), self.binding):
            return
        for line, end in lines:
            with suppress(LookupError, TypeError, ValueError, AttributeError):  # a whole line, but not one of ours
                self._take(line)
            self._written_bytes = end
        self._interrupted |= {key for key, tokens in self._begun.items() if tokens and key not in self._known}

    def _take(self, line: dict[str, Any]) -> None:
        """One line of an earlier run."""
        if "run" in line:
            self._interrupted |= self._begun.keys() - self._known.keys()
            told = {name: one_line(str(line["run"].get(name)))[:_LONGEST_TEXT] for name in self.run}
            self.earlier.append(told | {"seconds": 0.0, "answers": 0})
            return
        if not self.earlier:  # its run's line was damaged
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


def is_bound(path: Path, binding: Mapping[str, Any]) -> bool:
    """Whether the file at `path` holds answers that are bound to `binding`; only its beginning is read."""
    try:
        with path.open("rb") as file:
            return _is_binding(next(_whole_lines(file.readline(_LONGEST_LINE)), None), binding)
    except OSError:
        return False


def _is_binding(line: tuple[dict[str, Any], int] | None, binding: Mapping[str, Any]) -> bool:
    return line is not None and line[0].get("binding") == json.loads(json.dumps(binding))


def _line(content: Mapping[str, Any]) -> bytes:
    text = json.dumps(content, allow_nan=False, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _whole_lines(data: bytes) -> Iterator[tuple[dict[str, Any], int]]:
    """The lines whose checksum holds, each with the place where it ends; what was damaged is passed over."""
    start = 0
    while (stop := data.find(b"\n", start)) >= 0:
        checksum, _, text = data[start:stop].partition(b" ")
        start = stop + 1
        if checksum == b"%08x" % zlib.crc32(text):
            with suppress(ValueError, RecursionError):
                if isinstance(line := json.loads(text, parse_constant=_no_answer), dict):
                    yield line, start


def _no_answer(name: str) -> float:
    raise ValueError(f"{name} is no answer")  # older versions kept NaN
