"""Checks before hours are spent: access, disk, memory, tasks, energies recorded so far; each finding is one line."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glu_lib.analysis.soundness import MALFORMED
from glu_lib.cases import CaseKind, build_cases
from glu_lib.energy import Claim, implausible, wrong_energies
from glu_lib.errors import AccessError, GluError, RecordError
from glu_lib.evaluation import answers_do_not_fit
from glu_lib.experiment import Experiment
from glu_lib.identity import ModelIdentity, applied_template
from glu_lib.models import check_memory, inspect_model
from glu_lib.profiling import inconsistencies, repeat_claims
from glu_lib.pruning import glu_layers
from glu_lib.store import read_record
from glu_lib.study import ModelVariant, Task

DEFAULT_ANSWER_TOKENS = 256  # lm-eval's, where a task does not say


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, whether it is fine, and what was found or has to be done."""

    subject: str
    is_fine: bool
    text: str


def validate(experiment: Experiment, models: Sequence[ModelVariant]) -> Iterator[Finding]:
    """Look at the results folder and its records, at the tasks of `models`, and at each model; asks the hub."""
    yield _results_folder(experiment.settings.results_dir)
    for variant in models:
        try:
            identity = experiment.identity(variant)
            applied_template(variant, identity, experiment.settings.chat_template)
        except AccessError as error:
            yield Finding(variant.key, False, str(error))
            continue
        yield Finding(variant.key, True, f"can be read: {identity.source} at {identity.version[:19]}")
        try:
            model = inspect_model(variant, identity)
            glu_layers(model)
        except AccessError as error:
            yield Finding(variant.key, False, str(error))
            continue
        yield from _answers(experiment, variant, getattr(model.config, "max_position_embeddings", None))
        yield _disk(variant, identity)
        yield _memory(experiment, variant)
    yield from _tasks(experiment, models)
    yield from _records(experiment)


def _records(experiment: Experiment) -> Iterator[Finding]:
    """Energies of the records that are there already: each figure that cannot be true."""
    seen = 0
    for path in experiment.store.record_paths():
        try:
            record = read_record(path)
        except RecordError:
            continue  # named where tables are made of records
        seen += 1
        for line in _doubts(record):
            yield Finding("records", False, f"{line} ({path}); run the case again with --rerun")
    if seen:
        yield Finding("records", True, f"the energies of {seen} records were looked at")


def _doubts(record: Mapping[str, Any]) -> list[str]:
    """What cannot be true of a record's energies, by itself or against each other."""
    try:
        found = [line for claim in record_claims(record) for line in implausible(claim)]
        found += [f"{record['case']['id']}: {line}" for line in wrong_energies(record)]
        return found + (list(inconsistencies(record)) if record["kind"] == CaseKind.ENERGY else [])
    except MALFORMED as error:
        return [f"the record is not complete ({type(error).__name__}: {error})"]


def record_claims(record: Mapping[str, Any]) -> list[Claim]:
    """What a record says of its energy windows."""
    name = str(record["case"]["id"])
    if record["kind"] == CaseKind.ENERGY:
        most = int(record["done_key"]["new tokens"])
        return [claim for repeat in record["repeats"] for claim in repeat_claims(name, repeat, most)]
    energy = record.get("energy")
    if not energy or energy["total_j"] is None:  # of a resumed case not even the seconds are its own
        return []
    parts = {part: energy[part]["energy_j"] for part in ("gpu", "cpu", "ram")}
    return [Claim(name, window_s=energy["window_s"], total_j=energy["total_j"], parts_j=parts)]


def _results_folder(folder: Path) -> Finding:
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    probe = existing / ".glu-write-test"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        return Finding(str(folder), False, f"cannot be written ({error.strerror}); choose another --results-dir")
    return Finding(str(folder), True, f"can be written, {free / 1e9:.1f} GB free")


def _disk(variant: ModelVariant, identity: ModelIdentity) -> Finding:
    """Bytes of weights still to download against the free space of the hub cache."""
    if identity.commit is None:
        return Finding(variant.key, True, "nothing to download")
    from huggingface_hub import HfApi, constants, try_to_load_from_cache

    try:
        entries = list(HfApi().list_repo_tree(variant.source, revision=identity.commit))
    except Exception as error:
        return Finding(variant.key, True, f"the download size is not known ({type(error).__name__})")
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
        return Finding(
            variant.key,
            False,
            f"{missing / 1e9:.1f} GB to download, {free / 1e9:.1f} GB free in {cache}; free space or set HF_HOME",
        )
    return Finding(variant.key, True, f"{missing / 1e6:,.1f} MB to download, {free / 1e9:.1f} GB free")


def _memory(experiment: Experiment, variant: ModelVariant) -> Finding:
    environment = experiment.environment
    if variant.architecture is None:
        return Finding(variant.key, True, "its shape is not declared, so its memory is not checked")
    try:
        check_memory(variant, environment)
    except AccessError as error:
        return Finding(variant.key, False, str(error))
    needed = variant.architecture.parameters() * environment.dtype.bytes
    return Finding(
        variant.key, True, f"{needed / 1e9:.2f} GB of weights in {environment.dtype} fit on {environment.device}"
    )


def _answers(experiment: Experiment, variant: ModelVariant, context: int | None) -> Iterator[Finding]:
    """Generation tasks whose answers alone fill the model's context; each of them would fail."""
    for task in _tasks_of(experiment, [variant]):
        wanted = experiment.library.answer_tokens(task, DEFAULT_ANSWER_TOKENS)
        if wanted is not None and context is not None and wanted >= context:
            yield Finding(variant.key, False, answers_do_not_fit(task, wanted, context))


def _tasks_of(experiment: Experiment, models: Sequence[ModelVariant]) -> list[Task]:
    """The tasks of the suites of some models, each once."""
    found = {
        case.subject: None
        for case in build_cases(experiment.study)
        if case.model in models and isinstance(case.subject, Task)
    }
    return list(found)


def _tasks(experiment: Experiment, models: Sequence[ModelVariant]) -> Iterator[Finding]:
    """Every task of the models' suites exists in lm-eval's index, with its metric; no data are downloaded here."""
    tasks = _tasks_of(experiment, models)
    for task in tasks:
        try:
            experiment.library.check_known(task)
        except GluError as error:
            yield Finding(task.key, False, str(error))
    yield Finding("tasks", True, f"{len(tasks)} looked up in lm-eval")
