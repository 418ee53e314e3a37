"""Explains two errors before the suite's conftest.py is loaded: a wrong root folder, and an unknown option.

pytest determines its root folder and pytest.ini before it knows the options of plugins. It treats every existing path
on the command line as a path to tests. `--results-dir /drive/x` (two words) with a folder outside the project then
hides the project's conftest.py. Outside the project folder there is no conftest.py, and the suite's options are
unknown. An installed entry point loads this module in both cases.
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

_PATH_OPTIONS = ("--results-dir", "--study", "--samples")
_OPTIONS_PLUGIN = "glu_lib.frontends.pytest_plugin.declared_options"


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> Generator[None, None, None]:
    """Refuse the two-word form if it hides the project; prepare a hint for an unknown option."""
    _refuse_hidden_project(early_config, args)
    yield
    is_loaded = early_config.pluginmanager.hasplugin(_OPTIONS_PLUGIN)
    with suppress(pytest.UsageError):  # pytest itself reports a wrong value of a known option
        _, unknown = parser.parse_known_and_unknown_args(args)
        for hint in _hints([word.partition("=")[0] for word in unknown], is_loaded=is_loaded):
            parser.extra_info["hint"] = hint  # pytest prints it below its own error


def _refuse_hidden_project(early_config: pytest.Config, args: list[str]) -> None:
    here = early_config.invocation_params.dir
    if not (here / "glu_lib" / "frontends" / "pytest_plugin").is_dir() or early_config.rootpath == here:
        return
    for option, value in pairwise(args):
        if option in _PATH_OPTIONS and Path(value).exists():
            raise pytest.UsageError(
                f"{option} {value}: after a space pytest treats an existing path as a path to tests; "
                f"write {shlex.quote(f'{option}={value}')}"
            )


def _hints(unknown: list[str], *, is_loaded: bool) -> Iterator[str]:
    """Hints for unknown options that are options of the suite, or similar to one."""
    from glu_lib.frontends.pytest_plugin.declared_options import pytest_addoption

    own = _Names()
    pytest_addoption(own)  # type: ignore[arg-type]  # stands in for the parser
    for option in unknown:
        if not is_loaded and option in own.names:
            yield (
                f"{option} is an option of the GLU width pruning suite, which works only in the suite's folder: "
                f"cd {_checkout()}, then repeat the command"
            )
        elif near := get_close_matches(option, own.names, 1) if is_loaded else []:
            yield f"{option} is not an option (did you mean {near[0]}?)"


def _checkout() -> str:
    """The folder of the checkout, quoted for a shell; a description if this package is not in a checkout."""
    root = Path(__file__).resolve().parents[3]
    return shlex.quote(str(root)) if (root / "conftest.py").is_file() else "<checkout of the suite>"


class _Names:
    """Replaces pytest's parser to collect the names of the suite's options."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def addini(self, *_args: Any, **_options: Any) -> None:
        """Ignore options of the ini file."""

    def getgroup(self, *_args: Any) -> _Names:
        """Return itself: groups do not matter here."""
        return self

    def addoption(self, name: str, **_options: Any) -> None:
        """Store the name."""
        self.names.append(name)
