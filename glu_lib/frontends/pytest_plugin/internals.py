"""pytest's private names, as of version 9.2; they stand only in this module, each with the reason.

pytest-xdist's private names (3.8) stand in `scheduling.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

# pytest's cache is keyed by it; the controller of pytest-xdist has no items to take node ids from.
from _pytest.nodeid import NodeId

__all__ = [
    "NodeId",
    "cache_folder",
    "cache_path",
    "expression_matches",
    "expression_words",
    "item_of",
    "last_failed",
    "set_last_failed",
    "tear_down_to",
    "terminal_width",
]


def last_failed(config: pytest.Config) -> dict[Any, bool] | None:
    """The dictionary in which pytest keeps cases that have not passed; None with `-p no:cacheprovider`.

    pytest writes it only at the end of a run, and after Ctrl-C only with what failed.
    """
    plugin = config.pluginmanager.get_plugin("lfplugin")
    return plugin.lastfailed if plugin else None


def set_last_failed(config: pytest.Config, names: Iterable[str]) -> None:
    """Replace what `--lf` selects, before collection: the workers of pytest-xdist must all collect the same."""
    plugin = config.pluginmanager.get_plugin("lfplugin")
    if plugin is None:
        return
    plugin.lastfailed = {NodeId.parse(name): True for name in names}
    if config.getoption("lf"):
        plugin._last_failed_paths = plugin.get_last_failed_paths()  # the files that collection enters


def cache_path(config: pytest.Config, key: str) -> Path:
    """The file of a value of pytest's cache; its own `set` neither syncs nor renames, so a kill could cut the file."""
    assert config.cache is not None
    path: Path = config.cache._getvaluepath(key)
    return path


def cache_folder(config: pytest.Config) -> Path | None:
    """The folder of pytest's cache, to be named in messages; None with `-p no:cacheprovider`."""
    return config.cache._cachedir if config.cache else None


def tear_down_to(session: pytest.Session, item: pytest.Item) -> None:
    """Tear down the fixtures that `item` does not use: a case that is put off must not keep its model loaded."""
    session._setupstate.teardown_exact(item)


def item_of(request: pytest.FixtureRequest) -> pytest.Item:
    """The test that a session fixture is set up for; `request.node` is the session there."""
    item: pytest.Item = request._pyfuncitem
    return item


def terminal_width(reporter: pytest.TerminalReporter) -> int:
    """The columns of the terminal, as pytest found them."""
    return reporter._tw.fullwidth


def expression_words(expression: str) -> list[str]:
    """The sorted words of a value of -k or -m; pytest would report a mistyped one only after collection.

    Raises:
        SyntaxError: if it is no valid expression.
    """
    from _pytest.mark.expression import Expression

    return sorted(Expression.compile(expression).idents()) if expression.strip() else []


def expression_matches(expression: str, names: Iterable[str]) -> bool:
    """Whether a value of -k matches a case with these names, as pytest compares them."""
    from _pytest.mark.expression import Expression

    lower = [name.lower() for name in names]

    def is_in_a_name(word: str, /, **_: object) -> bool:
        return any(word.lower() in name for name in lower)

    return Expression.compile(expression).evaluate(is_in_a_name)
