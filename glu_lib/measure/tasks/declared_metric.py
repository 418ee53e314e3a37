"""Compare the study's headline metric of a task with lm-eval's configuration before anything is scored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from glu_lib.errors import StudyError
from glu_lib.study import Task

Config = Mapping[str, Any]
_UNFILTERED = "none"  # lm-eval's filter name for unfiltered answers


def check_metric(task: Task, configs: Iterable[Config]) -> None:
    """Check that lm-eval reports the metric with its filter, and agrees on whether higher is better.

    Args:
        task: the study's task.
        configs: lm-eval's configurations of the task or group (first) and of its members.

    Raises:
        StudyError: naming what lm-eval reports instead.
    """
    whole, *members = configs
    leaves = [config for config in (whole, *members) if not isinstance(config.get("task"), list)]
    listed = [metric for config in leaves for metric in config.get("metric_list") or ()]
    _check_name(task, listed, "does not report")
    if isinstance(whole.get("task"), list):
        _check_group(task, _aggregated(whole))
    for metric in listed:
        if metric["metric"] == task.metric.name:
            given = "higher_is_better" in metric  # lm-eval warns of metrics of which it knows no direction
            _check_direction(task, metric["higher_is_better"] if given else _usual_direction(task.metric.name))
    filters = {name for config in leaves for name in _filters(config)}
    if leaves and task.metric.filter not in filters:
        raise StudyError(
            f"task {task.key}: lm-eval reports {task.metric.name} with the filters {', '.join(sorted(filters))}, "
            f'not {task.metric.filter}; write the metric as "{task.metric.name},<filter>"'
        )


def _check_name(task: Task, metrics: Iterable[Config], does: str) -> None:
    names = {str(metric["metric"]) for metric in metrics}
    if names and task.metric.name not in names:
        raise StudyError(
            f"task {task.key}: lm-eval {does} {task.metric.name}, only {', '.join(sorted(names))}; correct the metric "
            "in the study"
        )


def _check_group(task: Task, metrics: list[Config]) -> None:
    if not metrics:
        raise StudyError(
            f"task {task.key}: lm-eval's group {task.lm_eval_name} has no group score; name one of its tasks"
        )
    _check_name(task, metrics, "does not give the group")


def _check_direction(task: Task, higher_is_better: bool | None) -> None:
    if higher_is_better is not None and higher_is_better != task.metric.higher_is_better:
        better = "higher" if higher_is_better else "lower"
        raise StudyError(
            f"task {task.key}: according to lm-eval, a {better} {task.metric.name} is better; "
            f"set higher_is_better = {str(higher_is_better).lower()}"
        )


def _usual_direction(metric: str) -> bool | None:
    """Whether higher is better by lm-eval's default for a metric; None if lm-eval does not know the metric."""
    from lm_eval.api.registry import is_higher_better

    found: bool | None = is_higher_better(metric)
    return found


def _aggregated(group: Config) -> list[Config]:
    found = group.get("aggregate_metric_list") or ()
    return [found] if isinstance(found, Mapping) else list(found)


def _filters(config: Config) -> Iterator[str]:
    for pipeline in config.get("filter_list") or ({"name": _UNFILTERED},):
        yield str(pipeline["name"])
