"""Refuses mistyped selections before collection, with one line that names the nearest matches."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from itertools import chain
from pathlib import Path

import pytest

from glu_lib.frontends.pytest_plugin.collection import DEFAULT_MARKEXPR, all_cases
from glu_lib.frontends.pytest_plugin.internals import expression_matches, expression_words
from glu_lib.frontends.pytest_plugin.options import EXPERIMENT
from glu_lib.study import Control
from glu_lib.study.asked import Asked, level_key
from glu_lib.study.selection import ON_REQUEST

_JOIN = 'join words with and, or, not, as -k "llama1b and p40"'
_ALL_CASES = "all cases: glu list"
_UNKNOWN_WORDS = pytest.StashKey[list[str]]()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse a selection that no case can match; workers of pytest-xdist need no check of their own."""
    config = session.config
    if hasattr(config, "workerinput"):
        return
    for line in chain(_expressions(config), _unknown_markers(config), _places(config)):
        raise pytest.UsageError(line)


def _expressions(config: pytest.Config) -> Iterator[str]:
    """A line per value of -k or -m that is not a valid expression."""
    for option, expression in (("-k", config.getoption("keyword")), ("-m", config.getoption("markexpr"))):
        try:
            expression_words(expression)
        except SyntaxError as error:
            yield f"{option} {expression!r}: {error.msg} at column {error.offset}; {_JOIN}"


def _unknown_markers(config: pytest.Config) -> Iterator[str]:
    """A line per unregistered marker in -m; pytest itself reports it only after collection."""
    known = {re.split(r"[:(]", line)[0].strip() for line in config.getini("markers")}
    for name in expression_words(config.getoption("markexpr")):
        if name not in known:
            marks = dict.fromkeys(mark for case in all_cases(config) for mark in case.marks)
            yield f"-m {name}: there is no such marker{_meant(name, marks)}; markers: {', '.join(marks)}"


def _places(config: pytest.Config) -> Iterator[str]:
    """A line per path or node id on the command line whose file, function or case does not exist."""
    if config.args_source is not pytest.Config.ArgsSource.ARGS or config.getoption("pyargs"):
        return
    for given in config.args:
        name, _, rest = given.partition("::")
        path = config.invocation_params.dir / name
        if not path.exists():
            meant = _meant(name, _files(path, Path(name).parent))
            yield f"{given}: there is no such file{meant}{_by_keyword(config, name)}"
        elif path.suffix == ".py" and "cases_of" in (text := path.read_text(encoding="utf-8", errors="replace")):
            yield from _case(config, given, rest, text)


def _case(config: pytest.Config, given: str, place: str, text: str) -> Iterator[str]:
    """A line if a benchmark file lacks the function of a node id, or the function lacks the case.

    Args:
        config: of this process.
        given: the node id as typed.
        place: the part of the node id after the file.
        text: the text of the file.
    """
    function, _, case_id = place.removesuffix("]").partition("[")
    functions = {name: kind for kind, name in re.findall(r"cases_of\(\"(\w+)\"\)\s+def (test_\w+)", text)}
    cases = {case.id: case for case in all_cases(config)}
    if function and function not in functions:
        yield f"{given}: there is no test {function}{_meant(function, functions)}{_by_keyword(config, case_id)}"
    elif case_id in cases and cases[case_id].kind != functions[function]:
        yield f"{given}: {function} does not measure {case_id}{_by_keyword(config, case_id)}"
    elif case_id and case_id not in cases:
        models = config.stash[EXPERIMENT].study.models
        file = "" if case_id.split("-")[0] in models else " (a model of a study file needs --study=FILE)"
        near = ", ".join(get_close_matches(case_id, cases))
        yield f"{given}: there is no case {case_id}{file}{f'; nearest: {near}' if near else ''}; {_ALL_CASES}"


def _files(path: Path, shown: Path) -> list[str]:
    """The files in the folder of `path`, written relative to the folder that the user gave."""
    return [str(shown / found.name) for found in path.parent.iterdir()] if path.parent.is_dir() else []


def _by_keyword(config: pytest.Config, name: str) -> str:
    """The options that select the case with the id `name`; empty if there is no such case."""
    case = next((case for case in all_cases(config) if case.id == name), None)
    if case is None:
        return ""
    mark = next((f"-m {mark} " for mark in case.marks if mark in ON_REQUEST), "")
    return f"; select the case with {mark}-k {name}"


def _meant(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word, list(known), 1)
    return f" (did you mean {near[0]}?)" if near else ""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Find the words of -k that no name contains: after a `not`, pytest would silently ignore them."""
    if words := expression_words(config.getoption("keyword")):
        names = {name.lower() for item in items for name in item.keywords}
        config.stash[_UNKNOWN_WORDS] = [word for word in words if not any(word.lower() in name for name in names)]


def keyword_lines(config: pytest.Config) -> list[str]:
    """A line for each word of -k that no name contains."""
    study = config.stash[EXPERIMENT].study
    subjects = (case.subject_key for case in all_cases(config))
    known = dict.fromkeys([*study.models, *_levels(config), *subjects])
    return [
        f"-k {word}: no name contains this word"
        f"{' (a control: add --controls)' if word in list(Control) else _meant(word, known)}"
        for word in config.stash.get(_UNKNOWN_WORDS, list[str]())
    ]


def no_match_lines(config: pytest.Config) -> list[str]:
    """Lines that explain a selection without cases; empty if the user selected nothing."""
    given = {"-k": config.getoption("keyword"), "-m": config.getoption("markexpr")}
    chosen = [f"{option} {value!r}" for option, value in given.items() if value not in ("", DEFAULT_MARKEXPR)]
    if not chosen:
        return []
    models = ", ".join(config.stash[EXPERIMENT].study.models)
    levels = ", ".join(_levels(config))
    if given["-m"] == DEFAULT_MARKEXPR and (marks := _marks_of_what_matches(config, given["-k"])):
        return [f"cases that match {chosen[0]} run only on request: add {' or '.join(f'-m {mark}' for mark in marks)}"]
    return [
        *keyword_lines(config),
        f"no case matches {' with '.join(chosen)}; models: {models}; levels: {levels}; {_ALL_CASES}",
    ]


def _marks_of_what_matches(config: pytest.Config, keyword: str) -> list[str]:
    """The markers that -m needs to run the cases that -k matches."""
    matching = [case for case in all_cases(config) if expression_matches(keyword, (case.id, *case.marks))]
    return [mark for mark in ON_REQUEST if any(mark in case.marks for case in matching)]


def _levels(config: pytest.Config) -> list[str]:
    study = config.stash[EXPERIMENT].study
    levels = dict.fromkeys(level for model in study.models.values() for level in model.levels)
    percents = (level_key(level) for level in sorted(level for level in levels if not isinstance(level, Asked)))
    asked = (level_key(level) for level in levels if isinstance(level, Asked))
    return [*percents, *asked, *(Control if study.has_controls else ())]
