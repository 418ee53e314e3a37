"""Any two levels beside each other: the paired test of every task that both were scored in."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches

from glu_lib.analysis.changes import read_case
from glu_lib.analysis.consolidation import unlike_fields
from glu_lib.analysis.level_series import only
from glu_lib.analysis.resampling import RESAMPLES, RESAMPLING_SEED
from glu_lib.analysis.same_size import SameSize, untested, with_test
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
            raise RecordError(_unknown(name, levels))
    if first == second:
        raise RecordError(f"{first!r} and {second!r}: one level twice; name two levels")
    mine, other = levels[first], levels[second]
    common = [key for key in mine if key in other]
    names = list(dict.fromkeys(key[0] for key in common))
    if missing := [task for task in tasks if task not in names]:
        near = get_close_matches(missing[0].lower(), names, 1)
        hint = f" (did you mean --task {near[0]}?)" if near else ""
        raise RecordError(
            f"--task {missing[0]!r}: {first} and {second} do not both have it with the same limit{hint}; both have "
            f"{', '.join(names) or 'none'}"
        )
    if not common:
        raise RecordError(f"{first} and {second} have no task with the same limit in common; run both with one --limit")
    chosen = [(mine[key], other[key]) for key in common if not tasks or key[0] in tasks]
    found = [_compared(row, beside, store, resamples, seed) for row, beside in chosen]
    adjusted = holm([item.p for item in found])
    return [replace(item, p_holm=p) for item, p in zip(found, adjusted, strict=True)]


def without_counterpart(rows: Iterable[Row], first: str, second: str) -> list[str]:
    """A line for each task of one of two levels that the other does not have with the same limit."""
    levels = _by_level(rows)
    mine, other = levels.get(first, {}), levels.get(second, {})
    lines = []
    for name, own, beside, theirs in ((first, mine, second, other), (second, other, first, mine)):
        for key in own:
            if key not in theirs:
                limit = f" with {only(key[1], key[2])}" if key[1] else ""
                lines.append(f"not compared: {key[0]} of {name}{limit}, which {beside} has not")
    return lines


def _compared(row: Row, other: Row, store: Store, resamples: int, seed: int) -> SameSize:
    reason = _unlike(row, other)
    items = [read_case(found, store).items for found in (row, other)] if not reason else []
    return with_test(untested(row, other), reason, items, resamples=resamples, seed=seed, is_plain_shown=True)


def _unlike(row: Row, other: Row) -> str:
    """Why two levels cannot be compared, as one line; empty if they can."""
    if row["model"] != other["model"]:
        is_baseline = row["model"] == other.get("baseline_model") or row.get("baseline_model") == other["model"]
        return unlike_runs(row, other) or ("" if is_baseline else unlike_settings(row, other))
    differing = unlike_fields(row, other)
    return f"{row['case']}: {differing[0]} is not that of {other['case']}; run both again" if differing else ""


def _by_level(rows: Iterable[Row]) -> dict[str, dict[tuple[str, int | None, str | None], Row]]:
    """The headline scores by model and level, then by task, limit and subset."""
    found: dict[str, dict[tuple[str, int | None, str | None], Row]] = {}
    for row in rows:
        if row["kind"] == "accuracy" and row["is_headline"]:
            name = row["case"].removesuffix(f"-{row['subject']}")
            found.setdefault(name, {})[row["subject"], row["limit"], row.get("subset")] = row
    return found


def _unknown(name: str, levels: Mapping[str, Mapping[tuple[str, int | None, str | None], Row]]) -> str:
    if not levels:
        return f"{name!r}: the folder holds no scores of tasks; name the results folder of a run"
    whole = [(level, task) for level, mine in levels.items() for task, _, _ in mine if name == f"{level}-{task}"]
    near = get_close_matches(name.lower(), levels, 1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    if whole:
        hint = f" (did you mean {whole[0][0]} with --task {whole[0][1]}?)"
    return f"{name!r}: no scores of this level{hint}; there are {', '.join(levels)}"
