"""Texts that pruning needs; those of the hybrid method's calibration never overlap with scored texts."""

from __future__ import annotations

import hashlib
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glu_lib.errors import AccessError, CalibrationError, MeasurementError, SettingsError
from glu_lib.measure.tasks.task_library import TaskLibrary
from glu_lib.models.cut import Texts
from glu_lib.models.fixed_text import FixedText, encoded, held_out_rows, texts_of
from glu_lib.models.fixed_text import describe as describe_fixed
from glu_lib.models.neuron_scores import Calibration
from glu_lib.study import ModelVariant, Study
from glu_lib.study.settings import Settings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ROWS = 32
ROW_TOKENS = 128
_BATCH_ROWS = 8
_FEWEST_ROWS = 8  # of a text of the user's own
_TASK = "wikitext"


def describe(variant: ModelVariant, settings: Settings) -> str:
    """Description of the calibration texts, a value of the done key.

    Raises:
        SettingsError: if the user's file cannot be read.
    """
    if settings.calibration is not None:
        return f"own text, sha256 {hashlib.sha256(_own_text(settings.calibration)).hexdigest()}"
    fixed = describe_fixed(variant, FixedText.CALIBRATION)
    source = fixed if variant.is_embedded else f"{_TASK}, training split (if that is too short: {fixed})"
    return f"{source}, {ROWS} x {ROW_TOKENS} tokens"


def pruning_texts(
    variant: ModelVariant, tokenizer: PreTrainedTokenizerBase, library: TaskLibrary, study: Study, settings: Settings
) -> Texts:
    """The texts that pruning may need: for calibration, and for the activations of the removed neurons."""
    calibration = partial(calibration_batches, variant, tokenizer, library, study, settings)
    return Texts(calibration, lambda: [{"input_ids": held_out_rows(variant, tokenizer, rows=1)}])


def calibration_batches(
    variant: ModelVariant, tokenizer: PreTrainedTokenizerBase, library: TaskLibrary, study: Study, settings: Settings
) -> Calibration:
    """Batches of `input_ids` and `attention_mask`, each (8 or fewer, 128), without padding, and their source.

    The user's own text comes first (`--calibration`), up to 32 rows of it. Otherwise the embedded model is calibrated
    on text of its own generator, other models on the training split of wikitext; where this is shorter than 4096
    tokens, on the text of the package.

    Raises:
        CalibrationError: if the data set cannot be loaded, or the user's text is too short.
    """
    import torch

    own = settings.calibration
    try:
        if own is not None:
            source, ids = own.name, _ids(tokenizer, [_own_text(own).decode()])
        else:
            source, ids = f"{_TASK}, training split", []
            if not variant.is_embedded:
                ids = _ids(tokenizer, _hub_texts(library, study, settings.seed))
            if len(ids) < ROWS * ROW_TOKENS:
                source = describe_fixed(variant, FixedText.CALIBRATION)
                ids = _ids(tokenizer, texts_of(variant, FixedText.CALIBRATION))
    except (AccessError, MeasurementError) as error:
        raise CalibrationError(f"calibration of model {variant.key} for method hybrid: {error}") from error
    rows = len(ids) // ROW_TOKENS
    if rows < (ROWS if own is None else _FEWEST_ROWS):
        raise CalibrationError(
            f"calibration of model {variant.key}: {own or 'the text'} gives {len(ids)} tokens, at least "
            f"{_FEWEST_ROWS * ROW_TOKENS} are needed; give a longer text with --calibration"
        )
    table = torch.tensor(ids[: rows * ROW_TOKENS]).view(rows, ROW_TOKENS)
    batches = [{"input_ids": batch, "attention_mask": torch.ones_like(batch)} for batch in table.split(_BATCH_ROWS)]
    return Calibration(batches, f"{source}, {table.numel()} tokens")


def _ids(tokenizer: PreTrainedTokenizerBase, texts: Any) -> list[int]:
    return list(islice(chain.from_iterable(encoded(tokenizer, texts)), ROWS * ROW_TOKENS))


def _own_text(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"--calibration {path}: not a readable text ({error}); give a UTF-8 text file") from error
    return data


def _hub_texts(library: TaskLibrary, study: Study, seed: int) -> Any:
    (task,) = library.load(study.tasks[_TASK], seed=seed)["tasks"].values()
    return (doc["page"] for doc in task.training_docs())
