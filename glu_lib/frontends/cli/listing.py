"""Rows of the tables of `glu list`: case counts per level, and the download of each model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from glu_lib.results.at_work import at_work
from glu_lib.results.staleness import CaseState, Status
from glu_lib.study import ModelVariant
from glu_lib.study.architecture import format_ratio
from glu_lib.study.baselines import comparison_of
from glu_lib.study.cases import Case
from glu_lib.study.pruning import Pruning
from glu_lib.study.selection import ON_REQUEST

_MARKS = [f"-m {mark}" for mark in ON_REQUEST]
MATRIX_COLUMNS = ("model", "level", "width", "pruned", "cases", *(status.value for status in Status), *_MARKS)
MATRIX_NOTE = f"{', '.join(_MARKS)}: done/all cases that run only with this option; no other column counts them"
WORK_COLUMNS = ("being measured", "host", "process", "since", "last sign of life")
MODEL_COLUMNS = ("model", "weights", "download", "shape", "baseline")


def matrix_rows(states: Mapping[Case, CaseState]) -> Iterator[tuple[str, ...]]:
    """One row per (model, level): case counts by status, and separate counts of cases that run only on request."""
    for _, members in groupby(states, key=lambda case: case.group):
        cases = list(members)
        plain = [case for case in cases if not set(ON_REQUEST) & set(case.marks)]
        counts = Counter(states[case].status for case in plain)
        model, pruning = cases[0].model, cases[0].loaded
        on_request = (_done_of([states[case] for case in cases if mark in case.marks]) for mark in ON_REQUEST)
        size = _size(model, pruning)
        yield (model.key, pruning.key, *size, str(len(plain)), *(str(counts[status]) for status in Status), *on_request)


def _size(model: ModelVariant, pruning: Pruning) -> tuple[str, str]:
    """The width of the pruned layers and the share of their neurons that goes, in per cent; empty without a shape.

    A checkpoint with a baseline has no share: its shape is what was left, or was never pruned.
    """
    shape = model.architecture
    if shape is None or pruning.control:
        return "", ""
    layers = pruning.pruned_layers(shape.num_layers)
    width = pruning.widths(shape.intermediate_size, shape.num_layers)[layers[0] if layers else 0]
    return str(width), "" if model.baseline else f"{100 * (1 - width / shape.intermediate_size):.1f}%"


def _done_of(states: Sequence[CaseState]) -> str:
    """Done and all cases, as in `2/6`; empty without cases."""
    return f"{sum(state.status is Status.DONE for state in states)}/{len(states)}" if states else ""


def work_rows(root: Path) -> Iterator[tuple[str, ...]]:
    """One row per case that a run is measuring in the results folder `root`."""
    for found in at_work(root):
        yield found.case, found.host, str(found.process), found.since or "–", f"{found.refreshed_s:.0f} s ago"


def model_rows(models: Mapping[str, ModelVariant]) -> Iterator[tuple[str, ...]]:
    """One row per model: source, download still needed, shape and baseline, without asking the hub."""
    for model in models.values():
        yield model.key, model.source, download(model), _shape(model), comparison_of(model)


def _shape(model: ModelVariant) -> str:
    """Expansion ratio, parameters, and whether they are declared or the configuration's."""
    shape = model.architecture
    if shape is None:
        return "unknown (see: glu validate)"
    source = "declared" if shape.is_declared else "from its configuration"
    return f"{format_ratio(shape.expansion_ratio)}, {shape.parameters() / 1e6:,.1f} million parameters, {source}"


def download(model: ModelVariant) -> str:
    """The download still needed: none, the declared shape's weights at 16 bits each, or unknown (of a GGUF file)."""
    if model.is_embedded:
        return "none: in the package"
    if Path(model.source).expanduser().is_dir():
        return "none: a local folder"
    from huggingface_hub import try_to_load_from_cache

    if isinstance(
        try_to_load_from_cache(model.source, model.gguf or "model.safetensors", revision=model.revision), str
    ):
        return "none: in the cache"
    if model.architecture is None or model.gguf:
        return "unknown (see: glu validate)"
    return f"about {model.architecture.parameters() * 2 / 1e9:.1f} GB"
