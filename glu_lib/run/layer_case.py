"""A layer scan case: measure the layers of an unpruned model, and write the record."""

from __future__ import annotations

from datetime import UTC, datetime

from glu_lib.measure.layers.scan import scan_fields, scan_layers
from glu_lib.measure.prepared import PreparedModel
from glu_lib.models.fixed_text import ROWS, FixedText, describe, held_out_rows
from glu_lib.results.records import Record
from glu_lib.run.calibration import pruning_texts
from glu_lib.run.experiment import Experiment
from glu_lib.study.cases import Case


def record_layers(experiment: Experiment, case: Case, prepared: PreparedModel) -> Record:
    """Scan the layers of an unpruned model and return the record as written.

    The values of an interrupted run are taken over from the case's journal, which is deleted at the end.

    Raises:
        NotFiniteError: if a perplexity is not a number.
        RecordError: if the record cannot be written.
    """
    started_at = datetime.now(UTC)
    settings, tokenizer = experiment.settings, prepared.loaded.tokenizer
    texts = pruning_texts(case.model, tokenizer, experiment.library, experiment.study, settings)
    answers = experiment.recorder.journal(case, started_at)
    rows = held_out_rows(case.model, tokenizer, ROWS if settings.limit is None else min(settings.limit, ROWS))
    found, pruning = scan_layers(prepared, case.pruning, texts, rows, answers)
    resumed = answers.resumed()
    parts = {
        "scan": scan_fields(found, describe(case.model, FixedText.HELD_OUT)),
        "runtime": {"threads": prepared.threads},
        "timing": {"load_s": prepared.loaded.load_s},
        "memory": prepared.memory,
        "resumed": resumed,
    }
    duration_s = found.scan_s + (resumed["seconds"] if resumed else 0.0)
    record = experiment.recorder.write(case, pruning, started_at, duration_s, parts)
    answers.remove()
    return record
