"""The done key: all fields that a record must match for its case to be done, computed without loading a model."""

from __future__ import annotations

from typing import Any

from glu_lib.machine.environment import Environment
from glu_lib.measure.accuracy.evaluate import BOOTSTRAP_ITERATIONS
from glu_lib.measure.tasks.task_library import task_data_digest
from glu_lib.models import fixed_text
from glu_lib.models.identity import ModelIdentity
from glu_lib.models.model_files import applied_template
from glu_lib.results.records import SCHEMA_VERSION
from glu_lib.run import calibration
from glu_lib.study import CHAT_DATE, Method, Saturation, Task, Workload
from glu_lib.study.cases import Case, CaseKind
from glu_lib.study.settings import Settings, Weights


def done_key(
    case: Case, identity: ModelIdentity | None, settings: Settings, environment: Environment
) -> dict[str, Any]:
    """The done key of `case` as a flat dictionary of JSON values.

    `identity` is None for architecture cases, which need no weights. Batch size, device and threads are not part of
    the key of a scored case; for energy cases hardware, batch size and `--threads` are.

    Raises:
        TemplateError: if the task needs a chat template and the model has none.
    """
    key: dict[str, Any] = {
        "schema": SCHEMA_VERSION,
        "kind": str(case.kind),
        "model": identity.source if identity else case.model.source,
        "model version": identity.version if identity else repr(case.model.architecture),
        **_pruning_fields(case, settings, environment),
    }
    if case.kind is CaseKind.ARCHITECTURE:
        return key | {"transformers": environment.versions["transformers"]}
    items = settings.items.of(case.subject)
    key |= {"dtype": str(environment.dtype), "limit": items.limit, "seed": settings.seed}
    if items.subset:
        key["items"] = items.digest
    if isinstance(case.subject, Task):
        own = {"task limit": case.subject.limit} if _acts(case.subject, settings) else {}
        return key | _task_fields(case, case.subject, identity, environment, own)
    if isinstance(case.subject, Saturation):
        largest = case.subject.at(case.subject.max_batch)
        return key | _workload_fields(largest, settings, environment) | {"least gain": case.subject.least_gain}
    if isinstance(case.subject, Workload):
        return key | _workload_fields(case.subject, settings, environment)
    return key | {"text": fixed_text.describe(case.model, fixed_text.FixedText.HELD_OUT)}


def _pruning_fields(case: Case, settings: Settings, environment: Environment) -> dict[str, Any]:
    """Level, method and divisor; only the percentage where no neurons are selected: at p0 and for controls."""
    if case.pruning.control:
        return {"percent": case.pruning.percent, "control": str(case.pruning.control)}
    if case.pruning.percent == 0:
        return {"percent": 0}
    pruning = case.pruning
    fields: dict[str, Any] = {
        "percent": pruning.percent,
        # What was really cut, not the words that asked for it: two levels of one width are the same pruning.
        **({"width": pruning.width} if pruning.asked else {}),
        "method": str(pruning.method),
        "divisor": pruning.divisor,
        "optipfair": environment.versions["optipfair"],
    }
    if pruning.layers:
        fields |= {"layers": pruning.layers.text, "percent of": str(pruning.percent_of)}
    if pruning.method is Method.HYBRID:
        fields["calibration"] = calibration.describe(case.model, settings)
    if pruning.scores:
        fields["scores"] = pruning.scores.digest
    return fields | ({"selection seed": pruning.seed} if pruning.method is Method.RANDOM else {})


def _acts(task: Task, settings: Settings) -> bool:
    """Whether the task's own limit says how many items are scored, not a list of samples or a lower `--limit`."""
    items = settings.items.of(task)
    return task.limit is not None and not items.indices and (items.limit is None or task.limit < items.limit)


def _task_fields(
    case: Case, task: Task, identity: ModelIdentity | None, environment: Environment, own_limit: dict[str, Any]
) -> dict[str, Any]:
    return {
        "task": task.lm_eval_name,
        "task data": task_data_digest(task),
        "lm-eval": environment.versions["lm_eval"],
        "few-shot": task.num_fewshot,
        "bootstrap iterations": BOOTSTRAP_ITERATIONS,
        **own_limit,
        "chat template": applied_template(task, case.model, identity) if identity else None,
        **({"window": str(task.window)} if task.window is not None else {}),
        **({"chat date": CHAT_DATE.isoformat()} if task.is_chat else {}),
    }


def _workload_fields(workload: Workload, settings: Settings, environment: Environment) -> dict[str, Any]:
    is_made_up = workload.prompts is None or settings.weights is Weights.RANDOM
    return {
        "workload": workload.key,
        "prompts of": "random tokens" if is_made_up else workload.prompts,
        "prompt tokens": workload.prompt_tokens if is_made_up else None,
        "prompts": workload.num_prompts,
        "new tokens": workload.new_tokens,
        "batch size": workload.batch_size,
        "seeds": list(workload.seeds),
        "min window (s)": settings.min_window_s,
        "idle (s)": settings.idle_s,
        "weights": str(settings.weights),
        "device": environment.gpu or environment.cpu,
        "cores": environment.cores,
        "threads": settings.threads,
        "torch": environment.versions["torch"],
        "codecarbon": environment.versions["codecarbon"],
    }
