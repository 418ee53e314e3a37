"""Any two levels beside each other: the paired test of every task that both were scored in."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches

from glu_lib.analysis.changes import read_case
from glu_lib.analysis.resampling import RESAMPLES, RESAMPLING_SEED
from glu_lib.analysis.same_size import SameSize, tested, untested
from glu_lib.analysis.significance import holm
from glu_lib.analysis.size_pairs import unlike_runs, unlike_settings
from glu_lib.analysis.table import Row
from glu_lib.errors import RecordError
from glu_lib.results.store import Store


def two_levels(
    rows: Iterable[Row],
    store: Store,
    first: str,
    second: str,
    *,
    tasks: Collection[str] = (),
    resamples: int = RESAMPLES,
    seed: int = RESAMPLING_SEED,
) -> list[SameSize]:
    """Compare two levels in all tasks with the same limit and subset, on the same items.

    Args:
        rows: tidy rows, from `consolidate`.
        store: the results folder of these rows.
        first: model and level as a case's name begins: `llama1b-p40`, `llama1b-p40-random2`.
        second: the other model and level; a difference is the first's score minus this one's.
        tasks: the tasks to compare; empty for all that both levels have.
        resamples: number of resamples of each bootstrap.
        seed: seed of each bootstrap.

    Returns:
        One comparison per task, limit and subset; `p_holm` is corrected over all of them.

    Raises:
        RecordError: if both are the same, if one has no scores, or if they have no task, or none of `tasks`, in common.
    """
    levels = _by_level(rows)
    for name in (first, second):
        if name not in levels:
            raise RecordError(_unknown(name, list(levels)))
    if first == second:
        raise RecordError(f"{first!r} and {second!r}: one level twice; name two levels")
    mine, other = levels[first], levels[second]
    common = [key for key in mine if key in other]
    if missing := [task for task in tasks if task not in {key[0] for key in common}]:
        both = ", ".join(dict.fromkeys(key[0] for key in common)) or "none"
        raise RecordError(f"--task {missing[0]!r}: not a task of {first} and {second} with one limit; both have {both}")
    if not common:
        raise RecordError(f"{first} and {second} have no task with the same limit in common; run both with one --limit")
    chosen = [(mine[key], other[key]) for key in common if not tasks or key[0] in tasks]
    found = [_compared(row, beside, store, resamples, seed) for row, beside in chosen]
    adjusted = holm([item.p for item in found])
    return [replace(item, p_holm=p) for item, p in zip(found, adjusted, strict=True)]


def _compared(row: Row, other: Row, store: Store, resamples: int, seed: int) -> SameSize:
    is_one_model = row["model"] == other["model"]
    reason = unlike_runs(row, other) or ("" if is_one_model else unlike_settings(row, other))
    items = [read_case(found, store).items for found in (row, other)] if not reason else []
    return tested(untested(row, other), reason, items, resamples=resamples, seed=seed)


def _by_level(rows: Iterable[Row]) -> dict[str, dict[tuple[str, int | None, str | None], Row]]:
    """The headline scores by model and level, then by task, limit and subset."""
    found: dict[str, dict[tuple[str, int | None, str | None], Row]] = {}
    for row in rows:
        if row["kind"] == "accuracy" and row["is_headline"]:
            name = row["case"].removesuffix(f"-{row['subject']}")
            found.setdefault(name, {})[row["subject"], row["limit"], row.get("subset")] = row
    return found


def _unknown(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, 1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return f"{name!r}: no scores of this level{hint}; there are {', '.join(known) or 'none'}"
