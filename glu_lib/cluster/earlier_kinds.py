"""The kind of GPU that models of an earlier run were scored on, so that their other levels are scored on it too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from glu_lib.errors import RecordError
from glu_lib.results.folder import RECORDS
from glu_lib.results.record import read_record
from glu_lib.results.store import Store


def earlier_kinds(store: Store, models: Iterable[str], kinds: Mapping[str, str | None]) -> dict[str, str | None]:
    """The kinds to which models with records are bound, by the key of the model; the unpruned level decides.

    A model whose earlier GPU is not in this cluster is bound to none: its tables will say so.

    Args:
        store: the results folder.
        models: keys of models.
        kinds: Ray's name of a kind, by the GPU's own name, which records have.
    """
    found: dict[str, str | None] = {}
    for model in models if len(set(kinds.values())) > 1 else ():
        for path in sorted((store.root / RECORDS / model).glob("*/*.json")):
            try:
                gpu = read_record(path).environment.gpu
            except RecordError:
                continue  # stale: it will be measured again
            if gpu is not None and gpu in kinds:
                found[model] = kinds[gpu]
                break
    return found
