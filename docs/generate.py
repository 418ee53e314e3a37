"""Write the reference pages from the code: `python docs/generate.py`. A test checks that they are current."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))  # this folder is no package

import record_page

from glu_lib.analysis.columns import TABLE
from glu_lib.frontends.cli.arguments import parser
from glu_lib.frontends.pytest_plugin.options import pytest_addoption
from glu_lib.study import STUDY, Method, Suite
from glu_lib.study.methods import RANDOM_SEEDS
from glu_lib.study.study_fields import TABLES

FOLDER = Path(__file__).resolve().parent / "reference"
_NOTE = "<!-- written by `python docs/generate.py`; do not edit -->"
_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", list: "list", dict: "table"}


def pages() -> dict[str, str]:
    """The text of each reference page, by file name."""
    written = {
        f"{name}.md": "\n".join((_NOTE, "", *lines)).rstrip() + "\n"
        for name, lines in (
            ("options", _options()),
            ("commands", _commands()),
            ("study", _study()),
            ("study-file", _study_file()),
            ("record", _record()),
            ("columns", _columns()),
        )
    }
    return written | {"record.schema.json": record_page.schema()}


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


def _options() -> Iterator[str]:
    declared = _Options()
    pytest_addoption(declared)  # type: ignore[arg-type]
    yield "# Options of pytest"
    yield ""
    yield "pytest's own options work too. Write paths with an equals sign (`--results-dir=/drive/glu`): pytest takes an"
    yield "existing folder that stands alone for a folder of tests."
    yield ""
    yield from _table(("option", "meaning"), ((_usage(name, how), how["help"]) for name, how in declared.options))
    yield ""
    yield "## Settings of `pytest.ini`"
    yield ""
    yield from _table(
        ("setting", "meaning", "default"),
        ((f"`{name}`", meaning, f"`{default}`" if default else "none") for name, meaning, default in declared.settings),
    )
    yield ""
    yield "## Marks"
    yield ""
    yield "Select with `-m`, as in `pytest -m paper`. Each suite is a mark."
    yield ""
    yield from _table(("mark", "cases"), ((f"`{suite.key}`", suite.description) for suite in STUDY.suites.values()))
    yield "| `star` | levels at an expansion ratio of 2.4x |"
    yield "| `gpu` | models of more than half a billion parameters |"
    yield "| `slow` | tasks that take minutes or more per level on a small GPU |"
    yield "| `speed`, `scoring` | benchmarks of the suite itself |"
    yield ""
    yield "## Case ids"
    yield ""
    yield "`<model>-p<percent>[ofmodel][d<divisor>][-<layers>][-<method>]-<task>`; layers appear only if they are not"
    yield "all, the method only if it is not PPM: `llama1b-p40-layers1uponly-random2-piqa`. `-k` selects by parts of"
    yield 'ids: `pytest -k "llama1b and p40 and not mmlu"`.'
    yield ""
    yield "## Exit codes"
    yield ""
    yield from _table(
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


def _commands() -> Iterator[str]:
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
        yield f"{_sentence(meanings[name])}"
        actions = [action for action in command._actions if action.dest != "help"]
        if actions:
            yield ""
            yield from _table(("argument", "meaning"), ((_argument(action), action.help) for action in actions))


def _argument(action: argparse.Action) -> str:
    words = [*action.option_strings[:1], *([str(action.metavar)] if action.metavar else [])]
    return f"`{' '.join(words)}`"


def _study() -> Iterator[str]:
    yield "# The built-in study"
    yield ""
    yield "`glu list` prints its cases and which are done. A [study file](study-file.md) adds to it."
    yield ""
    yield "## Models"
    yield ""
    yield from _table(
        ("key", "weights", "kind", "levels (%)", "expansion ratio at p0"),
        (
            (
                f"`{model.key}`",
                model.source,
                str(model.kind),
                ", ".join(map(str, model.levels)),
                f"{model.architecture.expansion_ratio:.2f}x" if model.architecture else "",
            )
            for model in STUDY.models.values()
        ),
    )
    yield ""
    yield "## Methods"
    yield ""
    seeds = ", ".join(map(str, RANDOM_SEEDS))
    meanings = {
        Method.PPM: "max + |min| of the gate row, plus that of the up row (default; OptiPFair calls it MAW)",
        Method.PPM_DOWN: "PPM, plus max + |min| of the down column",
        Method.VOW: "variance of the gate row, plus that of the up row",
        Method.PON: "product of the two rows' L1 norms",
        Method.L2: "sum of the two rows' L2 norms",
        Method.HYBRID: "normalized PPM of gate, up and down, times activations on calibration text",
        Method.RANDOM: f"a seeded random choice: the control (seeds {seeds}; `random:7` is one seed)",
        Method.FILE: "a vector per layer in your own file, its tensors named `0`, `1`, … after the layers",
    }
    names = {Method.FILE: "file:NAME.safetensors"}
    yield from _table(
        ("`--method`", "neurons are scored by"),
        ((f"`{names.get(method, method)}`", meanings[method]) for method in Method),
    )
    yield ""
    yield "## Suites"
    yield ""
    yield from _table(
        ("mark", "models", "tasks or workloads"),
        (
            (f"`{suite.key}`", ", ".join(suite.models), ", ".join(_content(suite)) + _also(suite))
            for suite in STUDY.suites.values()
        ),
    )
    yield ""
    yield "## Tasks"
    yield ""
    yield from _table(
        ("key", "lm-eval's task", "headline metric", "few-shot", "chance", "prompts"),
        (
            (
                f"`{task.key}`",
                task.lm_eval_name,
                f"{task.metric.label} {'↑' if task.metric.higher_is_better else '↓'}",
                str(task.num_fewshot),
                "" if task.metric.chance is None else f"{task.metric.chance:.3g}",
                str(task.prompt_format),
            )
            for task in STUDY.tasks.values()
        ),
    )
    yield ""
    yield "## Workloads"
    yield ""
    yield from _table(
        ("key", "prompts of", "prompts", "new tokens", "batch size"),
        (
            (
                f"`{load.key}`",
                load.prompts or f"random tokens ({load.prompt_tokens})",
                str(load.num_prompts),
                str(load.new_tokens),
                str(load.batch_size),
            )
            for load in STUDY.workloads.values()
        ),
    )


def _content(suite: Suite) -> Iterator[str]:
    yield from (*suite.tasks, *suite.workloads)
    if suite.has_scan:
        yield "the layer scan, by each method and by `random`"


def _also(suite: Suite) -> str:
    return f"; instruct models also {', '.join(suite.instruct_tasks)}" if suite.instruct_tasks else ""


def _study_file() -> Iterator[str]:
    yield "# Study file"
    yield ""
    yield "A TOML file that adds to the built-in study or replaces parts of it: `pytest --study=my_study.toml`. See"
    yield "[your own models and tasks](../guides/own-study.md) for examples. An unknown field is an error."
    for place, fields in TABLES.items():
        yield ""
        yield f"## `{place}`" if place.startswith("[") else f"## {_sentence(place)[:-1]}"
        yield ""
        yield from _table(
            ("field", "type", "meaning"),
            ((f"`{name}`", _WORDS[field.type], field.meaning) for name, field in fields.items()),
        )


def _record() -> Iterator[str]:
    yield "# Record"
    yield ""
    yield "Each finished case leaves a JSON file, `individual_files/<model>/<level>/<case>.json` in the results folder."
    yield "Numbers are numbers; what cannot be read is null, never 0, and a field beside it gives the reason."
    yield "Fields that later versions added may be absent in older records; fields that are not listed are kept."
    yield "[record.schema.json](record.schema.json) is the JSON Schema."
    for title, rows in record_page.sections():
        yield ""
        yield f"## {title}"
        yield ""
        yield from _table(("field", "type", "meaning"), rows)


def _columns() -> Iterator[str]:
    yield "# Columns of the table"
    yield ""
    yield "`glu consolidate` writes `results.csv`, `results.json` and `results.parquet`: one row per case and metric."
    yield "Empty (null) means: does not apply, or is not known."
    yield ""
    yield "For scores take `kind = accuracy` and `is_headline`. Rows of kind `architecture` hold parameter counts, rows"
    yield "of kind `energy` the figures of workloads, rows of kind `layers` the log-perplexity of a layer scan with all"
    yield "layers pruned."
    yield ""
    yield from _table(("column", "type", "meaning"), ((f"`{c.name}`", str(c.type), c.meaning) for c in TABLE))


def _sentence(text: str | None) -> str:
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str | None]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(_cell(cell) for cell in row)} |"


def _cell(text: str | None) -> str:
    """A cell as MyST takes it: no bar outside of code, no HTML from `<results>`."""
    parts = (text or "").split("`")
    parts[::2] = [part.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*") for part in parts[::2]]
    parts[1::2] = [part.replace("|", "\\|") for part in parts[1::2]]
    return "`".join(parts)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
