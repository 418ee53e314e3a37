"""The reference pages of pytest's options and of the commands, from their declarations."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from markdown_tables import sentence, table

from glu_lib.frontends.cli.arguments import parser
from glu_lib.frontends.pytest_plugin.declared_options import pytest_addoption
from glu_lib.study import STUDY


class _Options:
    """Stands in for pytest's parser and keeps what is declared."""

    def __init__(self) -> None:
        self.options: list[tuple[str, dict[str, Any]]] = []
        self.settings: list[tuple[str, str, Any]] = []

    def getgroup(self, *_: str) -> _Options:
        return self

    def addoption(self, name: str, **how: Any) -> None:
        self.options.append((name, how))

    def addini(self, name: str, meaning: str, default: Any = None) -> None:
        self.settings.append((name, meaning, default))


def options_page() -> Iterator[str]:
    """Lines of the page of pytest's options, settings, marks, case ids and exit codes."""
    declared = _Options()
    pytest_addoption(declared)  # type: ignore[arg-type]
    yield "# Options of pytest"
    yield ""
    yield "pytest's own options work too. Write paths with an equals sign (`--results-dir=/drive/glu`): pytest takes an"
    yield "existing folder that stands alone for a folder of tests."
    yield ""
    yield from table(("option", "meaning"), ((_usage(name, how), how["help"]) for name, how in declared.options))
    yield ""
    yield "## Settings of `pytest.ini`"
    yield ""
    yield from table(
        ("setting", "meaning", "default"),
        ((f"`{name}`", meaning, f"`{default}`" if default else "none") for name, meaning, default in declared.settings),
    )
    yield ""
    yield "## Marks"
    yield ""
    yield "Select with `-m`, as in `pytest -m paper`. Each suite is a mark."
    yield ""
    yield from table(("mark", "cases"), ((f"`{suite.key}`", suite.description) for suite in STUDY.suites.values()))
    yield "| `star` | levels at an expansion ratio of 2.4x |"
    yield "| `gpu` | models of more than half a billion parameters |"
    yield "| `slow` | tasks that take minutes or more per level on a small GPU |"
    yield "| `speed`, `scoring` | benchmarks of the suite itself |"
    yield ""
    yield "## Case ids"
    yield ""
    yield "`<model>-<level>[ofmodel][d<divisor>][-<layers>][-<method>]-<task>`; the level is `p40`, or `r2.4x`,"
    yield "`n900m`, `b1.8gb` where it is not a percentage; layers appear only if they are not all, the method only"
    yield "if it is not PPM: `llama1b-p40-layers1uponly-random2-piqa`. `-k` selects by parts of"
    yield 'ids: `pytest -k "llama1b and p40 and not mmlu"`.'
    yield ""
    yield "## Exit codes"
    yield ""
    yield from table(
        ("code", "meaning"),
        (
            ("0", "everything that was selected is measured"),
            ("1", "something failed, or waits for the next run"),
            ("2", "stopped (Ctrl-C, SIGTERM, a closed terminal)"),
            ("4", "wrong use: an option, a study file, a name"),
            ("5", "nothing was selected"),
        ),
    )


def _usage(name: str, how: dict[str, Any]) -> str:
    if choices := how.get("choices"):
        return f"`{name} {'|'.join(choices)}`"
    return f"`{name} {how['metavar']}`" if "metavar" in how else f"`{name}`"


def commands_page() -> Iterator[str]:
    """Lines of the page of the `glu` commands and their arguments."""
    yield "# Commands"
    yield ""
    yield "`glu` is installed with the package; `python -m glu_lib` does the same. Every command on records"
    yield "takes the results folder as DIR, as `--results-dir`, or from `GLU_RESULTS_DIR`."
    yield ""
    yield "`list`, `table`, `layers` and `compare` write nothing into the results folder."
    yield ""
    yield "Exit codes: 0 fine, 1 with problems that were named, 2 wrong use."
    whole = parser()
    (commands,) = (action for action in whole._actions if isinstance(action, argparse._SubParsersAction))
    meanings = {action.dest: action.help for action in commands._choices_actions}
    for name, command in commands.choices.items():
        yield ""
        yield f"## `glu {name}`"
        yield ""
        yield f"{sentence(meanings[name])}"
        actions = [action for action in command._actions if action.dest != "help"]
        if actions:
            yield ""
            yield from table(("argument", "meaning"), ((_argument(action), action.help) for action in actions))


def _argument(action: argparse.Action) -> str:
    words = [*action.option_strings[:1], *([str(action.metavar)] if action.metavar else [])]
    return f"`{' '.join(words)}`"
