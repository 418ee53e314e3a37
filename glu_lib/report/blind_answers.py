"""The published scores beside blind answers: which findings survive, as sentences and as text of table cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from glu_lib.analysis.published.blind import BesideBlind, Verdict, rises_towards_blind
from glu_lib.report import number

_MOST_ANSWERS = 3


def blind_answers(controls: Mapping[str, float]) -> str:
    """The best blind answers with their scores, `prompt 0.250, full stop 0.150`; of equal scores only the first."""
    first: dict[str, str] = {}
    for name, score in controls.items():
        first.setdefault(number.plain_score(score), name)
    return ", ".join(f"{name} {score}" for score, name in list(first.items())[:_MOST_ANSWERS])


def blind_levels(item: BesideBlind) -> str:
    """The levels not shown to be better than blind: `all`, `none`, `p40 p50 p60`; empty if that is not known."""
    if item.verdict is Verdict.UNKNOWN:
        return ""
    if not item.blind_percents:
        return "none"
    if item.verdict is Verdict.NO_SKILL:
        return "all"
    return " ".join(f"p{percent}" for percent in item.blind_percents)


def surviving(found: Sequence[BesideBlind]) -> list[str]:
    """What the scores of one model show beside blind answers: the rises first, then the tasks by verdict."""
    lines = [_rise(item) for item in rises_towards_blind(found)]
    for verdict, heading, told in (
        (Verdict.KEPT, "Above blind at the narrowest level", _kept),
        (Verdict.LOST, "Skill unpruned, none shown at the narrowest level", _lost),
        (Verdict.NO_SKILL, "No skill shown at any level, not even p0", _beside),
        (Verdict.GAINED, "Better than blind at some pruned levels, not unpruned", _beside),
        (Verdict.UNKNOWN, "No blind score is known", lambda item: item.task),
    ):
        if mine := [told(item) for item in found if item.verdict is verdict]:
            lines.append(f"{heading}: {', '.join(mine)}.")
    return lines


def _rise(item: BesideBlind) -> str:
    scores = f"{number.plain_score(item.unpruned)} to {number.plain_score(item.last)}"
    return (
        f"{item.task} rises from {scores} (p{item.last_percent}), towards blind: no level is shown to beat the best "
        f"answer that does not follow the question ({blind_answers(item.controls)})."
    )


def _kept(item: BesideBlind) -> str:
    return item.task if item.skill is None else f"{item.task} ({100 * item.skill:.0f} % of its skill)"


def _lost(item: BesideBlind) -> str:
    return f"{item.task} ({_beside_best(item, item.last)})"


def _beside(item: BesideBlind) -> str:
    return f"{item.task} ({_beside_best(item, item.unpruned)})"


def _beside_best(item: BesideBlind, score: float) -> str:
    name, best = next(iter(item.controls.items()))
    return f"{number.plain_score(score)} beside {number.plain_score(best)}, {name}"
