"""Checks before a long run: access, disk, memory, tasks and recorded energies; each result is one line."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from glu_lib.errors import AccessError, GluError, RecordError
from glu_lib.models.glu import glu_layers
from glu_lib.models.identity import ModelIdentity
from glu_lib.models.inspection import InspectedModel, inspect_model
from glu_lib.models.loading import check_memory
from glu_lib.models.shapes import check_architecture
from glu_lib.results.folder import ResultsFolder
from glu_lib.results.writing import try_to_write
from glu_lib.run.baseline_check import check_baseline
from glu_lib.run.experiment import Experiment
from glu_lib.run.record_checks import CheckResult, check_records
from glu_lib.run.text_checks import length_checks, tasks_of, template_check, token_checks
from glu_lib.study import ModelVariant
from glu_lib.study.baselines import comparison_of


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
        yield from token_checks(experiment, variant, found)
        yield from template_check(experiment, variant, identity)
        yield from length_checks(experiment, variant, getattr(found.model.config, "max_position_embeddings", None))
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


def _tasks(experiment: Experiment, models: Sequence[ModelVariant]) -> Iterator[CheckResult]:
    """Check that lm-eval has every task of the models' suites with its metric; downloads no data."""
    tasks = tasks_of(experiment, models)
    for task in tasks:
        try:
            experiment.library.check_known(task)
        except GluError as error:
            yield CheckResult(task.key, False, str(error))
    yield CheckResult("tasks", True, f"{len(tasks)} looked up in lm-eval")
