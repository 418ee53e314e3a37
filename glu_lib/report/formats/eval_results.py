"""The `evaluation_results` of an Every Eval Ever record: each value that lm-eval reports of a case."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from statistics import NormalDist
from typing import Any

from glu_lib.results.collapse import is_unbounded
from glu_lib.results.records import AccuracyRecord, Value
from glu_lib.study.tasks import PERPLEXITY

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
# lm-eval's registry (0.4.13) declares of these that higher is better; each is a share of items.
_SHARES = ("acc", "exact_match", "f1", "em", "prompt_level", "inst_level")
_CANONICAL = {"acc": "accuracy", "exact_match": "exact_match", "f1": "f1", "mcc": "mcc"}
_CONFIDENCE = 0.95
_Z = NormalDist().inv_cdf((1 + _CONFIDENCE) / 2)


def result_id(record: AccuracyRecord, task: str, metric: str, filter_name: str) -> str:
    """The name of a value within its file, by which items point to it."""
    return f"{record.case.id}/{task}/{metric},{filter_name}"


def evaluation_results(record: AccuracyRecord, known: Mapping[str, Any]) -> Iterator[dict[str, Any] | str]:
    """The results of a case; a line instead of a value that the format cannot hold.

    Args:
        record: the case's record.
        known: lm-eval's results file of the case, {} if there is none: it names the data set, the better side of
            each metric, and the generation settings.
    """
    for value in record.score.metrics:
        place = f"{record.case.id}: {value.task} {value.metric}"
        recorded = value.recorded(None)
        lower_is_better = _lower_is_better(record, value, known)
        if recorded["value"] is None:
            yield f"{place} has no finite value, and Every Eval Ever holds finite ones only"
        elif lower_is_better is None:
            yield f"{place} has no known better side; lm-eval's own files of the case would tell it"
        else:
            yield _result(record, value, recorded, known, lower_is_better=lower_is_better)


def _result(
    record: AccuracyRecord,
    value: Value,
    recorded: Mapping[str, Any],
    known: Mapping[str, Any],
    *,
    lower_is_better: bool,
) -> dict[str, Any]:
    config = _table(_table(known, "configs"), value.task)
    return {
        "evaluation_result_id": result_id(record, value.task, value.metric, value.filter),
        "evaluation_name": value.task,
        "source_data": _source_data(record, value, config),
        "evaluation_timestamp": epoch(record),
        "metric_config": _metric(value, recorded["value"], lower_is_better=lower_is_better),
        "score_details": {
            "score": recorded["value"],
            "uncertainty": _uncertainty(recorded["value"], recorded["stderr"], value.count),
        },
        "generation_config": _generation(record, config),
    }


def epoch(record: AccuracyRecord) -> str:
    """When the case began, seconds since 1970, as text."""
    return str(datetime.fromisoformat(record.timing.started_at).timestamp())


def _lower_is_better(record: AccuracyRecord, value: Value, known: Mapping[str, Any]) -> bool | None:
    """The metric's worse side: from the study, from lm-eval's file, or from the metric's name; None if not known."""
    headline = record.score.headline
    if value.metric == headline.metric:
        return not headline.higher_is_better
    higher = _table(_table(known, "higher_is_better"), value.task).get(value.metric)
    if isinstance(higher, bool):
        return not higher
    if is_unbounded(value.metric):
        return True
    return False if _is_share(value.metric) or value.metric in _CANONICAL else None


def _is_share(metric: str) -> bool:
    return metric.startswith(_SHARES)


def _metric(value: Value, score: float, *, lower_is_better: bool) -> dict[str, Any]:
    name = value.metric if value.filter == "none" else f"{value.metric},{value.filter}"
    found: dict[str, Any] = {
        "metric_id": _CANONICAL.get(value.metric, f"lm_eval.{value.metric}"),
        "metric_name": name,
        "metric_kind": _CANONICAL.get(value.metric, value.metric),
        "lower_is_better": lower_is_better,
        "additional_details": {"lm_eval_filter": value.filter},
    }
    if _is_share(value.metric) and 0 <= score <= 1:
        found |= {"metric_unit": "proportion", "score_type": "continuous", "min_score": 0, "max_score": 1}
    elif value.metric == "mcc":
        found |= {"score_type": "continuous", "min_score": -1, "max_score": 1}
    elif is_unbounded(value.metric):
        lowest = 1 if value.metric.endswith(PERPLEXITY) else 0
        found |= {"score_type": "continuous", "min_score": lowest, "max_score": "Infinity"}  # the schema's word
    return found


def _uncertainty(score: float, stderr: float | None, count: int) -> dict[str, Any]:
    """lm-eval's standard error, and the normal interval score ± 1.96 · standard error."""
    if stderr is None:
        return {"num_samples": count}
    return {
        "standard_error": {"value": stderr, "method": "lm-eval"},
        "confidence_interval": {
            "lower": score - _Z * stderr,
            "upper": score + _Z * stderr,
            "confidence_level": _CONFIDENCE,
            "method": "normal approximation",
        },
        "num_samples": count,
    }


def _source_data(record: AccuracyRecord, value: Value, config: Mapping[str, Any]) -> dict[str, Any]:
    """The data set, where lm-eval's file names one of the hub; otherwise lm-eval's task."""
    version = record.score.task_versions.get(value.task)
    details = as_texts({"lm_eval_task": value.task, "lm_eval_task_version": None if version is None else str(version)})
    path = config.get("dataset_path")
    if isinstance(path, str) and _HUB_NAME.fullmatch(path):
        split = config.get("test_split") or config.get("validation_split")
        return {
            "dataset_name": path.rpartition("/")[2],
            "source_type": "hf_dataset",
            "hf_repo": path,
            **({"hf_split": split} if isinstance(split, str) else {}),
            "samples_number": value.count,
            "additional_details": details | as_texts({"hf_config": config.get("dataset_name")}),
        }
    return {
        "dataset_name": value.task,
        "source_type": "other",
        "additional_details": details,
    }


def _generation(record: AccuracyRecord, config: Mapping[str, Any]) -> dict[str, Any]:
    """How answers were generated, and how prompts were built; answers are greedy unless lm-eval's file differs."""
    key, score = record.done_key, record.score
    given = _table(config, "generation_kwargs")
    arguments: dict[str, Any] = {}
    if given:
        arguments["temperature"] = given.get("temperature", 0.0) if given.get("do_sample") else 0.0
    if type(most := given.get("max_gen_toks")) is int and most > 0:
        arguments["max_tokens"] = most
    details = {
        "num_fewshot": key.few_shot if score.num_fewshot is None else score.num_fewshot,
        "prompt_format": record.case.prompt_format.value,
        "chat_template_sha256": key.chat_template,
        "chat_date": key.chat_date,
        "seed": key.seed,
        "limit": key.limit,
        "task_limit": key.task_limit,
        "items": key.items,
        "window_tokens": score.window_tokens,
        "output_type": config.get("output_type"),
        "generation_kwargs": given or None,
        "generation_settings_of_the_model": score.generation_settings or None,
        "batch_size": record.runtime.batch_size,
        "scorer": record.runtime.scorer.value,
        "truncated_prompts": score.truncated_prompts,
        "cut_generations": score.cut_generations,
    }
    return {"generation_args": arguments, "additional_details": as_texts(details)}


def as_texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Values as the format's details hold them: text or JSON; None is left out."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, allow_nan=False, sort_keys=True)
        for name, value in values.items()
        if value is not None
    }


def _table(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = values.get(name)
    return found if isinstance(found, Mapping) else {}
