"""Keys of a study: the form that they must have, and the error message for one that does not exist."""

from __future__ import annotations

import re
from collections.abc import Mapping

from glu_lib.errors import StudyError

_LONGEST_KEY = 60  # a file name of two keys, a level and a sample limit then has at most 255 bytes
_DEVICE = re.compile("con|prn|aux|nul|(com|lpt)[0-9]")
_KEY = re.compile(r"[a-z0-9][a-z0-9_]*")


def unknown(kind: str, value: object, known: Mapping[str, object]) -> str:
    """The error message for a name that does not exist, with the choices."""
    return f"{kind} {value!r} is not in the study; choose one of {', '.join(known)}"


def check_key(kind: str, key: str) -> None:
    """Check the form of a key that names a `kind` of part: model, task, workload or suite.

    Raises:
        StudyError: if it does not fit into case ids, file names and -k expressions.
    """
    if not _KEY.fullmatch(key) or len(key) > _LONGEST_KEY:
        raise StudyError(
            f"{kind} key {key!r} must consist of at most {_LONGEST_KEY} lower-case letters, digits and _, and not "
            "start with _ (it is used in case ids, file names and -k expressions); rename it"
        )
    if _DEVICE.fullmatch(key):
        raise StudyError(f"{kind} key {key!r} is the name of a device on Windows, no file can have it; rename it")
