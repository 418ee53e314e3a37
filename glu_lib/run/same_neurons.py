"""Check that pruning keeps the same neurons as in earlier records of the same weights and level."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glu_lib.errors import RecordError, VerificationError
from glu_lib.models.pruning_result import PruningResult
from glu_lib.results.record import read_record
from glu_lib.results.store import Store
from glu_lib.study import ModelVariant
from glu_lib.study.pruning import Pruning


def check_same_neurons(
    store: Store, variant: ModelVariant, pruning: Pruning, wanted: Mapping[str, Any], result: PruningResult
) -> None:
    """Compare the kept neurons with those of earlier records.

    Args:
        store: holds the earlier records.
        variant: the pruned model.
        pruning: the level.
        wanted: done-key fields of the weights; records with other values are not compared.
        result: the result of pruning, with the digest of its kept neurons.

    Raises:
        VerificationError: naming the record whose neurons differ.
    """
    if result.kept_neurons is None:
        return
    # Without these fields, a record copied here from another level would be compared.
    level: dict[str, Any] = {"percent": pruning.percent, "method": str(pruning.method), "divisor": pruning.divisor}
    wanted = {**wanted, **level, **({"scores": pruning.scores.digest} if pruning.scores else {})}
    for path in store.record_paths_of(variant.key, pruning.key):
        try:
            record = read_record(path)
        except RecordError:
            continue  # unreadable records are stale and will be replaced
        key, recorded = record.done_key.as_json(), record.pruning.kept_neurons
        same_model = all(key.get(name) == value for name, value in wanted.items())
        if same_model and recorded is not None and recorded != result.kept_neurons:
            raise VerificationError(
                f"{variant.key}-{pruning.key}: pruning kept other neurons than in {path}, so their scores cannot be "
                "compared; run the level again with --rerun"
            )
