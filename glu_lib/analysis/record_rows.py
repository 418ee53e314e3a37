"""Rows of a record: the tidy columns of each of its figures, and the fields that a baseline must share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from glu_lib.analysis.columns import COLUMNS
from glu_lib.analysis.efficiency import energy_quality, energy_sources
from glu_lib.analysis.energy_score import energy_scores
from glu_lib.errors import one_line
from glu_lib.results.records import AccuracyRecord, AnyRepeat, EnergyRecord, LayersRecord, Record, ServingRecord
from glu_lib.results.records.energy import Profile
from glu_lib.study import STUDY, Control
from glu_lib.study.costs import AttentionShape, costs, dtype_bytes
from glu_lib.study.settings import Weights

LONGEST_REASON = 200  # characters
# A level and its baseline may differ in these done-key fields; all others must be equal.
_PRUNING_FIELDS = frozenset(
    {"percent", "method", "divisor", "optipfair", "selection seed", "calibration", "control", "width"}
) | {
    *("layers", "percent of", "scores"),
}
_EMPTY = dict.fromkeys(COLUMNS)


def rows_of(record: Record, path: str, wrong: Sequence[str]) -> list[dict[str, Any]]:
    """The tidy rows of a record, without baselines.

    Args:
        record: the record.
        path: its path relative to the results folder.
        wrong: its wrong energies (`Record.wrong_energies`), which enter no table.
    """
    shared = {
        **_columns(record, path),
        **_cost_columns(record),
        **_energy_columns(record, wrong),
        "measured_as": shared_fields(record),
    }
    return [{**_EMPTY, **shared, **values} for values in _values(record)]


def _columns(record: Record, path: str) -> dict[str, Any]:
    """The columns that all rows of a record share."""
    case, pruning, environment, control = record.case, record.pruning, record.environment, record.case.control
    weights = Weights.RANDOM if control is Control.UNTRAINED else record.done_key.weights
    return {
        "case": case.id,
        "kind": record.kind,
        "model": case.model,
        "baseline_model": case.baseline,
        "baseline_level": case.baseline_level,
        "control": control.label if control else None,
        # Not the record's 0 or 100: a reader of the table would take the row for a level.
        "percent": None if control else case.percent,
        "asked": case.asked,
        "method": case.method,
        "divisor": case.divisor,
        "layers": pruning.pruned_layers,
        "width": pruning.width,
        "widths": tuple(pruning.widths),  # not a column: levels of equal widths are found by it
        "expansion_ratio": pruning.expansion_ratio,
        "parameters": pruning.parameters,
        "suites": " ".join(case.suites),
        "subject": case.subject,
        "limit": record.done_key.limit,
        "subset": record.subset,
        "task_limit": getattr(record.done_key, "task_limit", None),
        "weights": (getattr(record, "weights", None) if weights is Weights.REAL else None) or weights.value,
        "dtype": environment.dtype,
        "device": environment.processor,
        "run": _digest(environment.as_text()),
        "git_commit": environment.git_commit,
        "started_at": record.timing.started_at,
        "record": path,
    }


def _cost_columns(record: Record) -> dict[str, Any]:
    """MACs and bytes by arithmetic on the record's shape, and the measured peak memory; null where not known."""
    pruning, dtype = record.pruning, record.environment.dtype
    (shape, widths), one_weight_bytes = _shape(record), dtype_bytes(dtype)
    found = costs(shape, pruning.hidden_size, widths, dtype) if shape and widths else None
    return {
        "prefill_macs_per_token": found.prefill_macs_per_token if found else None,
        "decode_macs_per_token": found.decode_macs_per_token if found else None,
        "kv_cache_bytes_per_token": found.kv_cache_bytes_per_token if found else None,
        "weights_bytes": None if one_weight_bytes is None else pruning.parameters * one_weight_bytes,
        "peak_memory_bytes": _peak_memory_bytes(record),
    }


def _shape(record: Record) -> tuple[AttentionShape | None, list[int]]:
    """The attention shape of a record and its widths; of an earlier version's, those of the built-in model.

    A declared shape counts only if the source is the same and its arithmetic gives the record's number of parameters.
    """
    pruning, model = record.pruning, STUDY.models.get(record.case.model)
    if pruning.has("attention"):
        found = pruning.attention
        return (AttentionShape(**found.model_dump()) if found else None), pruning.widths
    declared = model.architecture if model and model.source == record.done_key.model else None
    if declared is None:
        return None, []
    widths = pruning.widths or [pruning.width] * declared.num_layers
    is_it = len(widths) == declared.num_layers and declared.parameters(widths) == pruning.parameters
    return (AttentionShape.of(declared) if is_it else None), widths


def _peak_memory_bytes(record: Record) -> int | None:
    if isinstance(record, EnergyRecord):
        return record.generation_memory.peak_bytes
    if isinstance(record, AccuracyRecord) and record.scoring_memory:
        return record.scoring_memory.peak_bytes
    return None


def _energy_columns(record: Record, wrong: Sequence[str]) -> dict[str, Any]:
    """Energy, window and conditions; with them fields that are no columns, but serve the notes below tables."""
    if isinstance(record, EnergyRecord | ServingRecord):
        repeats: list[AnyRepeat] = [repeat for found, _ in record.measured() for repeat in found]
        said = [record.idle.exclusive] if record.idle else []
        said += [repeat.conditions.exclusive for repeat in repeats]
        return {
            "energy_quality": energy_quality(repeats),
            "is_exclusive": all(said),
            "generation_settings": {},
            "turns": record.turns,
            "energy_reason": None,
        }
    if not isinstance(record, AccuracyRecord):
        return {"generation_settings": {}, "turns": None, "energy_reason": None}
    # A wrong energy, or one of more than the work alone, enters no table; the record's score does.
    unfit = next(iter(wrong), None) or record.unlike_window
    energy = None if unfit else record.energy
    reason = unfit or record.energy.total_reason
    return {
        "energy_j": energy.total_j if energy else None,
        "energy_quality": energy.quality.value if energy and energy.quality else None,
        # The window of a resumed case covers only its last part, so it is not the time of the case.
        "window_s": energy.window_s if energy and not record.resumed else None,
        "is_exclusive": record.conditions.exclusive if record.conditions else None,
        "generation_settings": _generation_settings(record.score.generation_settings),
        "turns": None,
        "energy_reason": one_line(reason)[:LONGEST_REASON] if reason else None,
    }


def _generation_settings(found: Mapping[str, Any]) -> dict[str, str]:
    """Settings of the model's generation configuration that change greedy answers, by name, as text of one line."""
    return {one_line(name)[:LONGEST_REASON]: one_line(str(value))[:LONGEST_REASON] for name, value in found.items()}


@lru_cache  # a folder has few set-ups and many records
def _digest(environment: str) -> str:
    """Hash of an environment, given as JSON: equal for records from the same hardware, versions and commit."""
    return hashlib.sha256(json.dumps(json.loads(environment), sort_keys=True).encode()).hexdigest()[:8]


def _values(record: Record) -> Iterator[dict[str, Any]]:
    """Metric columns of a record's rows: lm-eval's values, a workload's figures, or the parameter count."""
    if isinstance(record, AccuracyRecord):
        yield from _scores(record)
    elif isinstance(record, EnergyRecord):
        yield from _figures(record, record.profile, record.repeats, record.done_key.batch_size)
    elif isinstance(record, ServingRecord):
        for batch in record.batches:
            peak = {"peak_memory_bytes": batch.generation_memory.peak_bytes, "is_headline": False}
            for values in _figures(record, batch.profile, batch.repeats, batch.batch_size):
                yield values | peak
    elif isinstance(record, LayersRecord):
        yield {
            "task": record.case.subject,
            "metric": "log_perplexity",
            "value": record.scan.pruned,
            "higher_is_better": False,
            "is_headline": True,
        }
    else:
        figures = {"metric": "parameters", "value": record.pruning.parameters}
        yield {"task": "architecture", **figures, "is_headline": True}


def _scores(record: AccuracyRecord) -> Iterator[dict[str, Any]]:
    score, headline = record.score, record.score.headline
    shared = {
        "truncated_prompts": score.truncated_prompts,
        "cut_generations": score.cut_generations,
        "unknown_requests": score.unknown_requests,
        "tied_items": score.tied_items,
        "window_tokens": score.window_tokens,
        "prompt_format": record.case.prompt_format.value,
        # Early records hold only the requested number of examples.
        "num_fewshot": score.num_fewshot if score.has("num_fewshot") else record.done_key.few_shot,
    }
    for value in score.metrics:
        is_headline = value.place == headline.place
        better = headline.higher_is_better if is_headline else None
        yield {
            **shared,
            "task": value.task,
            "metric": value.metric,
            "filter": value.filter,
            **value.recorded(better),
            "n": value.count,
            "is_headline": is_headline,
            **({"higher_is_better": better, "chance": headline.chance} if is_headline else {}),
        }


def _figures(
    record: Record, profile: Profile, repeats: Sequence[AnyRepeat], batch_size: int
) -> Iterator[dict[str, Any]]:
    sources = energy_sources(repeats)
    found = [(name, summary.model_dump()) for name, summary in profile.figures()]
    found += energy_scores(record) if isinstance(record, EnergyRecord) else []
    for name, summary in found:
        yield {
            "task": record.case.subject,
            "batch_size": batch_size,
            "is_headline": name == "energy_per_token_j",
            "metric": name,
            "value": summary["mean"],
            "n": summary["n"],
            "interval_low": summary["interval_low"],
            "interval_high": summary["interval_high"],
            # Not a column: a baseline must have the same parts and sources.
            **({"parts": sources} if name.endswith(("_j", "_wh")) else {}),
            "higher_is_better": name == "tokens_per_s",
        }


def shared_fields(record: Record) -> dict[str, Any]:
    """The fields that a record and its baseline must share: the done key without its pruning fields."""
    key = {name: value for name, value in record.done_key.as_json().items() if name not in _PRUNING_FIELDS}
    if isinstance(record, EnergyRecord | ServingRecord):
        # Speed depends on the threads that were used, and the done key holds only --threads.
        key |= {"threads": record.runtime.threads, "outside": record.environment.outside}
    return key
