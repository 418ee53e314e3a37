"""The size and cost of each level as a table: one row per level, numbers as texts, and its notes."""

from __future__ import annotations

from collections.abc import Iterator

from glu_lib.analysis.headline import HeadlineTable
from glu_lib.analysis.level_sizes import LevelSize, level_sizes, zero_shot_sets
from glu_lib.analysis.table import level_text
from glu_lib.analysis.zero_shot import ZERO_SHOT_TASKS
from glu_lib.report import number
from glu_lib.report.listings import Listing
from glu_lib.study.architecture import format_ratio
from glu_lib.study.costs import CONTEXT_TOKENS

MEAN = "zero-shot mean"
_FIGURES = {
    "parameters": ("parameters", ""),
    "prefill_macs_per_token": (f"MACs per token, prefill of {CONTEXT_TOKENS}", ""),
    "decode_macs_per_token": (f"MACs per token, decode at {CONTEXT_TOKENS}", ""),
    "weights_bytes": ("weights", "B"),
    "kv_cache_bytes_per_token": ("KV cache per token", "B"),
    "peak_memory_bytes": ("peak memory, measured", "B"),
}


def size_listing(table: HeadlineTable) -> Listing | None:
    """The size and cost of each level; figures and a mean that no level has are left out. None without any."""
    sizes = level_sizes(table)
    names = [name for name in _FIGURES if any(getattr(size, name) is not None for size in sizes)]
    has_mean = any(size.zero_shot_mean is not None for size in sizes)
    if not (names or has_mean):
        return None
    return Listing(
        f"{table.title}: size and cost of each level",
        ("level", "expansion ratio", *(_FIGURES[name][0] for name in names), *([MEAN] if has_mean else [])),
        tuple(
            (
                level_text(size.level),
                format_ratio(size.expansion_ratio),
                *(number.prefixed(getattr(size, name), _FIGURES[name][1]) for name in names),
                *([_mean(size)] if has_mean else []),
            )
            for size in sizes
        ),
    )


def size_notes(table: HeadlineTable) -> Iterator[str]:
    """What the figures mean: formula, dtype, the tasks of the mean, what guessing and blind answers get."""
    dtypes = sorted({str(row["dtype"]) for row in table.cells.values() if row.get("dtype")})
    sizes = level_sizes(table)
    if any(size.prefill_macs_per_token is not None for size in sizes):
        yield (
            "MACs: multiply-accumulates of all matrix products, the LM head included, and of attention to the keys "
            f"before (prefill: mean over {CONTEXT_TOKENS} tokens), by arithmetic on the shape"
        )
    if dtypes:
        yield f"weights and KV cache in {number.listed(dtypes)}"
    if any(size.peak_memory_bytes is not None for size in sizes):
        yield (
            "peak memory: the highest while a case was scored; on a CPU that of the whole process, with what earlier "
            "levels of the run left in it; on a GPU that of torch"
        )
    sets = zero_shot_sets(table)
    if len(sets) > 1:
        yield f"no {MEAN}: the levels do not have the same of its tasks in one dtype ({', '.join(ZERO_SHOT_TASKS)})"
    elif names := next(iter(sets), None):
        yield _mean_note(table, names.split())


def _mean_note(table: HeadlineTable, names: list[str]) -> str:
    rows = [next(row for (task, _), row in table.cells.items() if task == name) for name in names]
    listed = ", ".join(f"{row['subject']} ({row['metric']})" for row in rows)
    chances = [row["chance"] for row in rows]
    guessing = "" if None in chances else f"; guessing gets {sum(chances) / len(chances):.3f}"
    first, _ = table.levels[0]
    blinds = [table.cells.get((name, first), {}).get("blind") for name in names]
    known = [value for value in blinds if value is not None]
    blind = "" if len(known) < len(names) else f"; the best blind answers get {sum(known) / len(known):.3f}"
    return f"{MEAN} of {listed}{guessing}{blind}; it has no interval of its own"


def _mean(size: LevelSize) -> str:
    """The mean, with its change against p0 in per cent."""
    if size.zero_shot_mean is None:
        return "–"
    text = number.plain_score(size.zero_shot_mean)
    return text if size.zero_shot_change is None else f"{text} ({number.percent(100 * size.zero_shot_change)})"
