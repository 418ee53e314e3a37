"""An architecture case: prune the declared shape without weights, and write the record."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from glu_lib.errors import VerificationError
from glu_lib.models.pruning import prune
from glu_lib.models.shapes import build_on_meta
from glu_lib.results.records import Record
from glu_lib.run.recorder import Recorder
from glu_lib.study.cases import Case


def record_architecture(recorder: Recorder, case: Case) -> Record:
    """Build and prune the declared shape on the meta device, without weights: exact widths and parameter counts.

    Returns:
        The record as written.

    Raises:
        VerificationError: if the pruned model has another number of parameters than the declared shape gives.
        RecordError: if the record cannot be written.
    """
    started_at, start_s = datetime.now(UTC), time.perf_counter()
    shape = case.model.architecture
    assert shape is not None
    result = prune(build_on_meta(shape), case.pruning)
    if result.parameters != shape.parameters(result.widths):
        raise VerificationError(
            f"{case.id}: the pruned model has {result.parameters} parameters, "
            f"the declared shape gives {shape.parameters(result.widths)}; correct the study"
        )
    return recorder.write(case, result, started_at, time.perf_counter() - start_s)
