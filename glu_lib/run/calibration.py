"""Calibration texts for the hybrid pruning method; they never overlap with scored texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from glu_lib.errors import AccessError, CalibrationError, MeasurementError
from glu_lib.measure.tasks.task_library import TaskLibrary
from glu_lib.models.vocabulary import encoding
from glu_lib.study import ModelVariant, Study

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

ROWS = 32
ROW_TOKENS = 128
_BATCH_ROWS = 8
_TASK = "wikitext"
_EMBEDDED_SEED = 7  # of the embedded model's text generator, which never generates held-out items


def describe(variant: ModelVariant) -> str:
    """Description of the calibration texts, a value of the done key."""
    source = f"generator, seed {_EMBEDDED_SEED}" if variant.is_embedded else f"{_TASK}, training split"
    return f"{source}, {ROWS} x {ROW_TOKENS} tokens"


def calibration_batches(
    variant: ModelVariant, tokenizer: PreTrainedTokenizerBase, library: TaskLibrary, study: Study, seed: int
) -> list[dict[str, torch.Tensor]]:
    """Batches of `input_ids` and `attention_mask`, each (8, 128), without padding.

    The embedded model is calibrated on text of its own generator, other models on the training split of wikitext.

    Raises:
        CalibrationError: if the data set cannot be loaded or is too short.
    """
    import torch

    try:
        texts = _embedded_texts() if variant.is_embedded else _hub_texts(library, study, seed)
        ids = list(islice(chain.from_iterable(_encoded(tokenizer, texts)), ROWS * ROW_TOKENS))
    except (AccessError, MeasurementError) as error:
        raise CalibrationError(f"calibration of model {variant.key} for method hybrid: {error}") from error
    if len(ids) < ROWS * ROW_TOKENS:
        raise CalibrationError(
            f"calibration of model {variant.key}: the training split of {_TASK} gives {len(ids)} tokens, "
            f"{ROWS * ROW_TOKENS} are needed; use the whole data set"
        )
    rows = torch.tensor(ids).view(ROWS, ROW_TOKENS)
    return [{"input_ids": batch, "attention_mask": torch.ones_like(batch)} for batch in rows.split(_BATCH_ROWS)]


def _encoded(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str]) -> Iterator[list[int]]:
    for text in texts:
        with encoding(text):
            ids: list[int] = tokenizer(text)["input_ids"]
        yield ids


def _embedded_texts() -> Any:
    from glu_lib.nano.corpus import training_rows
    from glu_lib.nano.world import build_world

    stream = training_rows(build_world(), _EMBEDDED_SEED, ROW_TOKENS)
    return (" ".join(row.words) for row in islice(stream, ROWS + 1))


def _hub_texts(library: TaskLibrary, study: Study, seed: int) -> Any:
    (task,) = library.load(study.tasks[_TASK], seed=seed)["tasks"].values()
    return (doc["page"] for doc in task.training_docs())
