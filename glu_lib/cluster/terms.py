"""What a worker says of its machine before the run is planned, compared with the driver's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from glu_lib.machine.environment import Environment, detect_environment
from glu_lib.study.settings import Settings
from glu_lib.version import __version__

_IN_DONE_KEYS = ("optipfair", "lm_eval", "transformers")
_SHOWN = 12  # characters of a commit

# JSON values, not a dataclass: another version of the suite must be able to say that it is one.
Terms = Mapping[str, Any]


def own_terms(settings: Settings) -> Terms:
    """The version of the suite and the environment of this process.

    Raises:
        SettingsError: if a setting does not fit this machine.
    """
    return {"suite": __version__} | detect_environment(settings).as_dict()


def refusal(terms: Terms, node: str, environment: Environment) -> str | None:
    """Why the records of a worker could not be those of this run, in one line; None if they can.

    Args:
        terms: of the worker.
        node: where it is.
        environment: the driver's.
    """
    if terms["suite"] != __version__:
        return f"--cluster: node {node} has version {terms['suite']} of the suite, this machine {__version__}; {_SAME}"
    ours, theirs = environment.git_commit, terms["git_commit"]
    if ours != theirs:
        return f"--cluster: node {node} runs commit {_short(theirs)}, this machine {_short(ours)}; {_SAME}"
    for name in _IN_DONE_KEYS:
        if (found := terms["versions"].get(name)) != environment.versions[name]:
            return (
                f"--cluster: node {node} has {name} {found}, this machine {environment.versions[name]}: records of "
                "both would not be comparable; install the same version (constraints.txt)"
            )
    if terms["dtype"] != environment.dtype:
        return (
            f"--cluster: node {node} would use {terms['dtype']}, this machine plans with {environment.dtype}; add "
            f"--dtype {terms['dtype']}"
        )
    return None


def remarks(found: Mapping[str, Terms], environment: Environment) -> Iterator[str]:
    """A line for each version that differs without making a record stale; `found` is by node."""
    for name, ours in environment.versions.items():
        others = {terms["versions"].get(name) for terms in found.values()} - {ours}
        if others:
            yield f"{name} {ours} here, {', '.join(sorted(map(str, others)))} on nodes of the cluster"


def hardware(terms: Terms) -> str:
    """The worker's processor: its GPU, or its CPU."""
    return str(terms["gpu"] or terms["cpu"])


_SAME = "check out the same commit on every node"


def _short(commit: str | None) -> str:
    return commit[:_SHOWN] if commit else "unknown (no git checkout)"
