"""A trap of pytest's own: a folder given as a separate word moves its root away; said in one line instead.

pytest looks for its root and pytest.ini before it knows any plugin's options, and takes every existing path
among the words of the command line for a place of tests. `--results-dir /drive/x` (two words) outside the
project then hides the project's conftest.py. This module is an installed entry point, so that it is there
even then.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

_PATH_OPTIONS = ("--results-dir", "--study")


def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    """Refuse the two-word form where it made pytest miss the project that the user stands in."""
    here = early_config.invocation_params.dir
    if not (here / "glu_lib" / "pytest_plugin").is_dir() or early_config.rootpath == here:
        return
    for option, value in pairwise(args):
        if option in _PATH_OPTIONS and Path(value).exists():
            raise pytest.UsageError(
                f"{option} {value}: pytest takes an existing path that is a word of its own for its root folder; "
                f"write {option}={value}"
            )
