"""The built-in study as plain tables for notebooks. They are derived from the study: edit `builtin.py` instead."""

from __future__ import annotations

from typing import Any

from glu_lib.study.asked import Asked
from glu_lib.study.builtin import STUDY
from glu_lib.study.schema import Suite
from glu_lib.study.workloads import Workload


def _tasks(suite: Suite) -> list[dict[str, Any]]:
    return [
        {
            "name": task.key,
            "num_fewshot": task.num_fewshot,
            "metric": task.metric.label,
            "prompt_format": str(task.prompt_format),
        }
        for task in (STUDY.tasks[key] for key in suite.tasks)
    ]


EXPERIMENT_CONFIG: dict[str, dict[str, Any]] = {
    model.key: {
        "source": model.source,
        "kind": str(model.kind),
        "levels": [str(level) if isinstance(level, Asked) else level for level in model.levels],
        "hidden_size": model.architecture.hidden_size if model.architecture else None,
        "intermediate_size": model.architecture.intermediate_size if model.architecture else None,
        "expansion_ratio": model.architecture.expansion_ratio if model.architecture else None,
    }
    for model in STUDY.models.values()
}
BENCHMARKS_BASE = _tasks(STUDY.suites["paper"])
BENCHMARKS_INSTRUCT = _tasks(STUDY.suites["instruct"])
BENCHMARKS_CARBON: list[dict[str, Any]] = [
    {
        "name": workload.key,
        "prompts": workload.prompts,
        "num_prompts": workload.num_prompts,
        "new_tokens": workload.new_tokens,
        "batch_size": workload.batch_size,
        "seeds": list(workload.seeds),
    }
    for workload in map(STUDY.workload, STUDY.suites["carbon"].workloads)
    if isinstance(workload, Workload)
]
