"""The kinds of cases: what each measures, and which need the machine for themselves."""

from __future__ import annotations

from enum import StrEnum

from glu_lib.study import AnyWorkload, LayerScan, Saturation, Task, Workload

Subject = Task | AnyWorkload | LayerScan | str  # `architecture`, the one subject without settings, is a text


class CaseKind(StrEnum):
    """What a case measures; also the kind of its record."""

    ACCURACY = "accuracy"
    ENERGY = "energy"
    SERVING = "serving"
    ARCHITECTURE = "architecture"
    LAYERS = "layers"


ENERGY_KINDS = frozenset({CaseKind.ENERGY, CaseKind.SERVING})  # need the machine for themselves
_KINDS = {
    Task: CaseKind.ACCURACY,
    Workload: CaseKind.ENERGY,
    Saturation: CaseKind.SERVING,
    LayerScan: CaseKind.LAYERS,
}


def kind_of(subject: Subject) -> CaseKind:
    """The kind of a case with this subject."""
    return CaseKind.ARCHITECTURE if isinstance(subject, str) else _KINDS[type(subject)]
