"""The prompts of a workload: drawn by seed from its task or from random tokens, tokenized and padded."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from glu_lib.errors import MeasurementError
from glu_lib.measure.scoring.added_tokens import without_end
from glu_lib.measure.tasks.task_library import TaskLibrary
from glu_lib.models.loading import LoadedModel, embedding_rows
from glu_lib.models.vocabulary import NO_FILLER, TextCheck, has_filler
from glu_lib.study import Study, Workload
from glu_lib.study.settings import Settings

if TYPE_CHECKING:
    from transformers import BatchEncoding

_POOL = 4  # size of the pool, as a multiple of the number of prompts drawn


def workload_prompts(workload: Workload, library: TaskLibrary, study: Study, settings: Settings) -> list[str]:
    """The pool of distinct prompts: the first ones of each part of the workload's task, in lm-eval's order.

    Raises:
        AccessError: if the task's data cannot be loaded.
        MeasurementError: if the task has too few distinct prompts.
    """
    assert workload.prompts is not None
    parts = list(library.load(study.tasks[workload.prompts], seed=settings.seed)["tasks"].values())
    each = -(-_POOL * workload.num_prompts // len(parts))
    contexts: dict[str, None] = {}
    for task in parts:
        task.build_all_requests(limit=each, rank=0, world_size=1)
        contexts |= dict.fromkeys(instance.args[0] for instance in task.instances)
    if len(contexts) < workload.num_prompts:
        raise MeasurementError(
            f"workload {workload.key}: task {workload.prompts} has {len(contexts)} distinct prompts, "
            f"{workload.num_prompts} are needed; lower the workload's num_prompts (or max_batch)"
        )
    return list(contexts)


def tokenized_batches(
    loaded: LoadedModel, workload: Workload, seed: int, prompts: list[str], limit: int | None
) -> list[BatchEncoding]:
    """Draw the workload's prompts by `seed`, and tokenize and left-pad them into batches on the model's device.

    Raises:
        MeasurementError: if the tokenizer cannot encode or pad the prompts for the model.
    """
    count = min(workload.num_prompts, limit or workload.num_prompts)
    chosen = random.Random(seed).sample(prompts, count)
    tokenizer = without_end(loaded.tokenizer)
    tokenizer.padding_side = "left"
    rows = embedding_rows(loaded.model)
    if workload.batch_size > 1 and not has_filler(tokenizer, rows):
        raise MeasurementError(f"workload {workload.key}: {NO_FILLER}")
    check = TextCheck.of(tokenizer, rows)
    batches = []
    for start in range(0, count, workload.batch_size):
        texts = chosen[start : start + workload.batch_size]
        with check.encoding("\n".join(texts)):
            batch = tokenizer(texts, return_tensors="pt", padding=workload.batch_size > 1, return_token_type_ids=False)
        check.check_ids(batch["input_ids"].flatten().tolist())
        batches.append(batch.to(loaded.model.device))
    return batches


def random_batches(loaded: LoadedModel, workload: Workload, seed: int, limit: int | None) -> list[BatchEncoding]:
    """Batches of random tokens drawn by `seed`, `prompt_tokens` per row; their values do not affect time and energy.

    The tokenizer's special tokens are not drawn, because an end-of-text token would end the prompt.
    """
    import torch
    from transformers import BatchEncoding

    special = set(loaded.tokenizer.all_special_ids)
    known = torch.tensor([token for token in range(loaded.model.config.vocab_size) if token not in special])
    count = min(workload.num_prompts, limit or workload.num_prompts)
    generator = torch.Generator().manual_seed(seed)
    rows = known[torch.randint(len(known), (count, workload.prompt_tokens), generator=generator)]
    device = loaded.model.device
    return [
        BatchEncoding({"input_ids": batch.to(device), "attention_mask": torch.ones_like(batch).to(device)})
        for batch in rows.split(workload.batch_size)  # (batch size, prompt tokens)
    ]
