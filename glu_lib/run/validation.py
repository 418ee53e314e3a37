"""Checks before a long run: access, disk, memory, tasks and recorded energies; each result is one line."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from glu_lib.errors import AccessError, GluError, MeasurementError, RecordError, TemplateError
from glu_lib.measure.accuracy.evaluate import answers_do_not_fit
from glu_lib.models.glu import glu_layers
from glu_lib.models.identity import ModelIdentity
from glu_lib.models.inspection import InspectedModel, inspect_model
from glu_lib.models.loading import check_memory, embedding_rows
from glu_lib.models.model_files import applied_template
from glu_lib.models.shapes import check_architecture
from glu_lib.models.vocabulary import NO_BEGINNING, NO_END, NO_FILLER, TextCheck, has_filler
from glu_lib.results.folder import ResultsFolder
from glu_lib.results.writing import try_to_write
from glu_lib.run.baseline_check import check_baseline
from glu_lib.run.experiment import Experiment
from glu_lib.run.record_checks import CheckResult, check_records
from glu_lib.study import AnyWorkload, ModelVariant, Saturation, Task, Workload
from glu_lib.study.baselines import comparison_of
from glu_lib.study.cases import build_cases

_SHOWN_TOKENS = 3
DEFAULT_ANSWER_TOKENS = 256  # lm-eval's default for tasks that set no limit


def validate(experiment: Experiment, models: Sequence[ModelVariant]) -> Iterator[CheckResult]:
    """Check the results folder and its records, the tasks of `models` and each model; accesses the hub."""
    yield _results_folder(experiment.store)
    for variant in models:
        try:
            identity = experiment.identities.of(variant)
        except AccessError as error:
            yield CheckResult(variant.key, False, str(error))
            continue
        yield CheckResult(variant.key, True, f"can be read: {identity.source} at {identity.version[:19]}")
        try:
            found = inspect_model(variant, identity)
            check_architecture(found.variant, found.model)
            glu_layers(found.model, is_pruned=variant.baseline is None)
            _check_baseline(experiment, variant, found)
        except AccessError as error:
            yield CheckResult(variant.key, False, str(error))
            continue
        if found.variant.architecture is not None:
            yield CheckResult(variant.key, True, f"shape: {found.variant.architecture.described}")
        yield CheckResult(variant.key, True, _weights(found))
        if compared := comparison_of(variant):
            yield CheckResult(variant.key, True, f"compared with its baseline: {compared}; same tokenizer")
        yield from _tokens(experiment, variant, found)
        yield from _templates(experiment, variant, identity)
        yield from _answers(experiment, variant, getattr(found.model.config, "max_position_embeddings", None))
        yield _disk(variant, identity)
        yield _memory(experiment, found.variant)
    yield from _tasks(experiment, models)
    yield from check_records(experiment.store)


def _results_folder(folder: ResultsFolder) -> CheckResult:
    """The check that a run does before its first case, without creating the folder."""
    try:
        folder.check_usable()
    except RecordError as error:
        return CheckResult("results", False, str(error))
    existing = next(path for path in (folder.root, *folder.root.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    return CheckResult(str(folder.root), True, f"can be written, {free / 1e9:.1f} GB free")


def _check_baseline(experiment: Experiment, variant: ModelVariant, found: InspectedModel) -> None:
    check_baseline(
        variant,
        found.model,
        found.tokenizer,
        study=experiment.study,
        identities=experiment.identities,
        weight_bytes=experiment.environment.dtype.bytes,
    )


def _weights(found: InspectedModel) -> str:
    if found.unseen_weights:
        return (
            "names and shapes of its weights are checked only on loading: the hub gives no headers "
            f"({found.unseen_weights})"
        )
    return "names and shapes of its weights fit the model"


def _tokens(experiment: Experiment, variant: ModelVariant, found: InspectedModel) -> Iterator[CheckResult]:
    """Tokens that the model's tasks and workloads need and its tokenizer or embedding lacks."""
    tokenizer, rows = found.tokenizer, embedding_rows(found.model)
    tasks = _tasks_of(experiment, [variant])
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


def _batch(workload: AnyWorkload) -> int:
    """The largest batch of a workload."""
    return workload.max_batch if isinstance(workload, Saturation) else workload.batch_size


def _workloads_of(experiment: Experiment, variant: ModelVariant) -> list[AnyWorkload]:
    """The workloads in all suites of a model, without repetition."""
    subjects = dict.fromkeys(case.subject for case in build_cases(experiment.study) if case.model.key == variant.key)
    return [subject for subject in subjects if isinstance(subject, Workload | Saturation)]


def _disk(variant: ModelVariant, identity: ModelIdentity) -> CheckResult:
    """Check that the weights still to download fit in the free space of the hub cache."""
    if identity.commit is None:
        return CheckResult(variant.key, True, "nothing to download")
    from huggingface_hub import HfApi, constants, try_to_load_from_cache

    try:
        entries = list(HfApi().list_repo_tree(variant.source, revision=identity.commit))
    except Exception as error:
        return CheckResult(variant.key, True, f"the download size is unknown ({type(error).__name__})")
    missing = sum(
        getattr(entry, "size", 0) or 0
        for entry in entries
        if entry.path.endswith((".safetensors", ".json"))
        and not isinstance(try_to_load_from_cache(variant.source, entry.path, revision=identity.commit), str)
    )
    cache = Path(constants.HF_HUB_CACHE)
    existing = next(path for path in (cache, *cache.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if missing > free:
        return CheckResult(
            variant.key,
            False,
            f"{missing / 1e9:.1f} GB to download, {free / 1e9:.1f} GB free in {cache}; free space or set HF_HOME",
        )
    try:
        if missing:
            try_to_write(existing)
    except OSError as error:
        return CheckResult(variant.key, False, f"{cache} cannot be written ({error.strerror}); set HF_HOME")
    return CheckResult(variant.key, True, f"{missing / 1e6:,.1f} MB to download, {free / 1e9:.1f} GB free")


def _memory(experiment: Experiment, variant: ModelVariant) -> CheckResult:
    environment = experiment.environment
    if variant.architecture is None:
        return CheckResult(
            variant.key, True, "neither the study nor its configuration gives a known shape: its memory is not checked"
        )
    try:
        check_memory(variant, environment)
    except AccessError as error:
        return CheckResult(variant.key, False, str(error))
    needed = variant.architecture.parameters() * environment.dtype.bytes
    return CheckResult(
        variant.key, True, f"{needed / 1e9:.2f} GB of weights in {environment.dtype} fit on {environment.device}"
    )


def _templates(experiment: Experiment, variant: ModelVariant, identity: ModelIdentity) -> Iterator[CheckResult]:
    """The first task with chat prompts if the model has no chat template; one line stands for all such tasks."""
    for task in _tasks_of(experiment, [variant]):
        try:
            applied_template(task, variant, identity)
        except TemplateError as error:
            yield CheckResult(variant.key, False, str(error))
            return


def _answers(experiment: Experiment, variant: ModelVariant, context: int | None) -> Iterator[CheckResult]:
    """Tasks that would fail, because their answers alone fill the model's context, or their windows exceed it."""
    for task in _tasks_of(experiment, [variant]):
        wanted = experiment.library.answer_tokens(task, DEFAULT_ANSWER_TOKENS)
        if wanted is not None and context is not None and wanted >= context:
            yield CheckResult(variant.key, False, answers_do_not_fit(task, wanted, context))
        if context is not None:
            try:
                experiment.library.check_window(task, context)
            except MeasurementError as error:
                yield CheckResult(variant.key, False, str(error))


def _tasks_of(experiment: Experiment, models: Sequence[ModelVariant]) -> list[Task]:
    """The tasks in all suites of `models`, without repetition."""
    keys = {variant.key for variant in models}  # not the variants: the experiment's may have got a shape
    cases = build_cases(experiment.study)
    return list({case.subject: None for case in cases if case.model.key in keys and isinstance(case.subject, Task)})


def _tasks(experiment: Experiment, models: Sequence[ModelVariant]) -> Iterator[CheckResult]:
    """Check that lm-eval has every task of the models' suites with its metric; downloads no data."""
    tasks = _tasks_of(experiment, models)
    for task in tasks:
        try:
            experiment.library.check_known(task)
        except GluError as error:
            yield CheckResult(task.key, False, str(error))
    yield CheckResult("tasks", True, f"{len(tasks)} looked up in lm-eval")
