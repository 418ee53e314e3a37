"""Checks before a long run of what a model reads and writes: tokens, chat template, length of answers and windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from glu_lib.errors import MeasurementError, TemplateError
from glu_lib.measure.accuracy.evaluate import answers_do_not_fit
from glu_lib.models.identity import ModelIdentity
from glu_lib.models.inspection import InspectedModel
from glu_lib.models.loading import embedding_rows
from glu_lib.models.model_files import applied_template
from glu_lib.models.vocabulary import NO_BEGINNING, NO_END, NO_FILLER, TextCheck, has_filler
from glu_lib.run.experiment import Experiment
from glu_lib.run.record_checks import CheckResult
from glu_lib.study import AnyWorkload, ModelVariant, Saturation, Task, Workload
from glu_lib.study.cases import build_cases

_SHOWN_TOKENS = 3
DEFAULT_ANSWER_TOKENS = 256  # lm-eval's default for tasks that set no limit


def template_check(experiment: Experiment, variant: ModelVariant, identity: ModelIdentity) -> Iterator[CheckResult]:
    """The first task with chat prompts if the model has no chat template; one line stands for all such tasks."""
    for task in tasks_of(experiment, [variant]):
        try:
            applied_template(task, variant, identity)
        except TemplateError as error:
            yield CheckResult(variant.key, False, str(error))
            return


def token_checks(experiment: Experiment, variant: ModelVariant, found: InspectedModel) -> Iterator[CheckResult]:
    """Tokens that the model's tasks and workloads need and its tokenizer or embedding lacks."""
    tokenizer, rows = found.tokenizer, embedding_rows(found.model)
    tasks = tasks_of(experiment, [variant])
    batched = [
        workload.key for workload in _workloads_of(experiment, variant) if workload.prompts and _batch(workload) > 1
    ]
    generated = [
        task.key for task in tasks if experiment.library.answer_tokens(task, DEFAULT_ANSWER_TOKENS) is not None
    ]
    problems = []
    if tasks and tokenizer.bos_token_id is None and tokenizer.eos_token_id is None:
        problems.append(NO_BEGINNING)
    elif generated and tokenizer.eos_token_id is None:
        problems.append(f"{NO_END}: {', '.join(generated)}")
    if batched and not has_filler(tokenizer, rows):
        problems.append(f"{NO_FILLER}: {', '.join(batched)}")
    yield from (CheckResult(variant.key, False, text) for text in problems)
    check = TextCheck.of(tokenizer, rows)
    if check.beyond:
        yield CheckResult(
            variant.key,
            True,
            f"the embedding has no row for the tokenizer's {', '.join(sorted(check.beyond.values())[:_SHOWN_TOKENS])} "
            f"({len(check.beyond)} tokens in all): a case whose text holds one will fail",
        )
    if check.drops_signs:
        yield CheckResult(
            variant.key,
            True,
            "the tokenizer has no UNK token and no byte fallback: a case with an unknown character will fail",
        )


def length_checks(experiment: Experiment, variant: ModelVariant, context: int | None) -> Iterator[CheckResult]:
    """Tasks that would fail, because their answers alone fill the model's context, or their windows exceed it."""
    for task in tasks_of(experiment, [variant]):
        wanted = experiment.library.answer_tokens(task, DEFAULT_ANSWER_TOKENS)
        if wanted is not None and context is not None and wanted >= context:
            yield CheckResult(variant.key, False, answers_do_not_fit(task, wanted, context))
        if context is not None:
            try:
                experiment.library.check_window(task, context)
            except MeasurementError as error:
                yield CheckResult(variant.key, False, str(error))


def tasks_of(experiment: Experiment, models: Sequence[ModelVariant]) -> list[Task]:
    """The tasks in all suites of `models`, without repetition."""
    keys = {variant.key for variant in models}  # not the variants: the experiment's may have got a shape
    cases = build_cases(experiment.study)
    return list({case.subject: None for case in cases if case.model.key in keys and isinstance(case.subject, Task)})


def _batch(workload: AnyWorkload) -> int:
    """The largest batch of a workload."""
    return workload.max_batch if isinstance(workload, Saturation) else workload.batch_size


def _workloads_of(experiment: Experiment, variant: ModelVariant) -> list[AnyWorkload]:
    """The workloads in all suites of a model, without repetition."""
    subjects = dict.fromkeys(case.subject for case in build_cases(experiment.study) if case.model.key == variant.key)
    return [subject for subject in subjects if isinstance(subject, Workload | Saturation)]
