"""Where a run begins among the (model, level) groups, so that runs which share a results folder begin apart."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from glu_lib.results.address import LEASES

_TASK, _COUNT, _FIRST = "SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN"
_SPREAD = 0.6180339887498949  # the golden ratio less one: its multiples, modulo 1, lie far apart


def starting_place(root: Path, environ: Mapping[str, str] = os.environ, *, is_worker: bool = False) -> float:
    """The place to begin at, from 0 to below 1, as a share of all groups.

    A task of a Slurm array begins at its own share. Any other run begins at 0, unless runs are at work in the folder:
    then at a place that depends on its process.

    Args:
        root: the results folder.
        environ: variables of the environment.
        is_worker: whether this is a worker of pytest-xdist; all workers of a run must have the same order.
    """
    task, count = _number(environ, _TASK), _number(environ, _COUNT)
    if task is not None:
        if not count:
            return task * _SPREAD % 1
        return (task - (_number(environ, _FIRST) or 0)) % count / count
    if is_worker or not any((root / LEASES).glob("*")):
        return 0.0
    return os.getpid() * _SPREAD % 1


def _number(environ: Mapping[str, str], name: str) -> int | None:
    text = environ.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() else None
