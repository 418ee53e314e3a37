"""Two traps of pytest's own that only an installed plugin can see: a wrong root folder, an option it does not know.

pytest looks for its root and pytest.ini before it knows any plugin's options, and takes every existing path
among the words of the command line for a place of tests. `--results-dir /drive/x` (two words) outside the
project then hides the project's conftest.py. In another folder there is none, and none of the suite's options. This
module is an installed entry point, so that it is there even then.
"""

from __future__ import annotations

import shlex
from collections.abc import Generator, Iterator
from contextlib import suppress
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

_PATH_OPTIONS = ("--results-dir", "--study")
_OPTIONS_PLUGIN = "glu_lib.frontends.pytest_plugin.options"


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> Generator[None, None, None]:
    """Refuse the two-word form where it hid the project; have a line ready for an option that nobody knows."""
    _refuse_hidden_project(early_config, args)
    yield
    is_loaded = early_config.pluginmanager.hasplugin(_OPTIONS_PLUGIN)
    with suppress(pytest.UsageError):  # a known option with a wrong value: pytest says so by itself
        _, unknown = parser.parse_known_and_unknown_args(args)
        for hint in _hints([word.partition("=")[0] for word in unknown], is_loaded=is_loaded):
            parser.extra_info["hint"] = hint  # printed with pytest's own error, if there is one


def _refuse_hidden_project(early_config: pytest.Config, args: list[str]) -> None:
    here = early_config.invocation_params.dir
    if not (here / "glu_lib" / "frontends" / "pytest_plugin").is_dir() or early_config.rootpath == here:
        return
    for option, value in pairwise(args):
        if option in _PATH_OPTIONS and Path(value).exists():
            raise pytest.UsageError(
                f"{option} {value}: pytest takes an existing path that is a word of its own for its root folder; "
                f"write {shlex.quote(f'{option}={value}')}"
            )


def _hints(unknown: list[str], *, is_loaded: bool) -> Iterator[str]:
    """What to say of options that nobody knows: of the first one that the suite has, or nearly has."""
    from glu_lib.frontends.pytest_plugin.options import pytest_addoption

    own = _Names()
    pytest_addoption(own)  # type: ignore[arg-type]  # it is only asked for the names
    for option in unknown:
        if not is_loaded and option in own.names:
            yield (
                f"{option} is an option of the GLU width pruning suite, which pytest knows where the suite's "
                f"conftest.py is: cd {_checkout()}, then the same command"
            )
        elif near := get_close_matches(option, own.names, 1) if is_loaded else []:
            yield f"{option} is no option (did you mean {near[0]}?)"


def _checkout() -> str:
    """The folder of the suite, as a shell takes it, where this package is one of a checkout."""
    root = Path(__file__).resolve().parents[3]
    return shlex.quote(str(root)) if (root / "conftest.py").is_file() else "to the checkout of the suite"


class _Names:
    """Stands in for pytest's parser to learn the names of the suite's options."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def addini(self, *_args: Any, **_options: Any) -> None:
        """Nothing: an option of the ini file."""

    def getgroup(self, *_args: Any) -> _Names:
        """The group is of no interest."""
        return self

    def addoption(self, name: str, **_options: Any) -> None:
        """Note the name."""
        self.names.append(name)
