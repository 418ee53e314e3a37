"""Layer scans: the harm of pruning each layer, beside that of random neurons, and what sparing layers gives back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import fmean
from typing import Any

from glu_lib.errors import one_line
from glu_lib.results.records import LayersRecord
from glu_lib.results.records.case import Removed
from glu_lib.study.methods import is_random

_ABSENT = object()  # equal to no value of a done key
_LONGEST_NAME = 60  # characters of a done-key field's name
# A scan of random neurons may differ from the scan that it is compared with in these done-key fields alone.
_METHOD_FIELDS = frozenset({"method", "selection seed", "calibration", "scores"})
_TEXT_FIELDS = ("rows", "row_tokens", "targets")
# Of an explained harm: values of `models.removed.Removed`, one per layer.
EXPLANATIONS = ("score_share", "down_norm_share", "activation_share", "largest_activation", "largest_of_all")
# Sums of harms that differ by less, in log-perplexity, add up: 2 % of the perplexity.
SMALL_HARM = 0.02


@dataclass(frozen=True, slots=True)
class RandomHarm:
    """The harm of pruning one layer's neurons at random: mean, lowest and highest over the seeds, in nats per token."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ScannedLayer:
    """One layer of a scan; harms are differences of log-perplexities, in nats per token.

    `harm`: only this layer pruned - unpruned; exp(harm) is the factor on the perplexity. `given_back`: all layers
    pruned - all but this one. `random`: the harm of random neurons in this layer, None without a comparable scan.
    The other values say what was removed from the layer (`models.removed.Removed`); shares are from 0 to 1, None if
    unknown.
    """

    layer: int
    harm: float
    given_back: float
    is_spared: bool
    random: RandomHarm | None
    score_share: float | None
    down_norm_share: float | None
    activation_share: float | None
    largest_activation: float | None
    largest_of_all: float | None


@dataclass(frozen=True, slots=True)
class SparingStep:
    """The log-perplexity with some layers spared: as the sum of the single harms predicts it, and as measured."""

    spared: tuple[int, ...]
    predicted: float
    measured: float

    @property
    def adds_up(self) -> bool:
        """Whether the prediction is as good as right, within `SMALL_HARM`."""
        return abs(self.predicted - self.measured) <= SMALL_HARM


@dataclass(frozen=True, slots=True)
class Scan:
    """One layer scan beside those of random neurons of the same model, level, text, limit and dtype.

    `unpruned` and `pruned` (all layers) are log-perplexities, nats per token, on `targets` tokens of `text`.
    `recommended` are the layers to prune, as `--layers` takes them. `random_seeds` counts the random scans compared
    with; if there is none, `unlike` names the done-key fields in which those of this model and level differ.
    `layers_run` of `layers_whole` computed layers were needed, thanks to kept beginnings. `source` is the weights'
    hub id or folder, or `embedded`.
    """

    case: str
    model: str
    source: str
    method: str
    percent: float
    limit: int | None
    dtype: str
    text: str
    rows: int
    targets: int
    unpruned: float
    pruned: float
    layers: tuple[ScannedLayer, ...]
    steps: tuple[SparingStep, ...]
    spared: tuple[int, ...]
    recommended: str
    random_seeds: int
    unlike: tuple[str, ...]
    layers_run: int
    layers_whole: int
    scan_s: float
    started_at: str

    @property
    def title(self) -> str:
        """Model, level, method and, for a limited run, its limit: `nano p10 PPM, limit 1`."""
        limited = "" if self.limit is None else f", limit {self.limit}"
        return f"{self.model} p{self.percent} {self.method}{limited}"

    @property
    def by_harm(self) -> list[ScannedLayer]:
        """The layers, the most harmful first."""
        return sorted(self.layers, key=lambda layer: (-layer.harm, layer.layer))

    @property
    def last(self) -> SparingStep:
        """The step with the recommended layers pruned."""
        return next(step for step in self.steps if step.spared == self.spared)

    @property
    def saved_share(self) -> float | None:
        """The share of computed layers that the kept beginnings saved, 0 to 1; None if no layer was computed."""
        return 1 - self.layers_run / self.layers_whole if self.layers_whole else None


def scans(records: Iterable[LayersRecord]) -> list[Scan]:
    """The scans of `records`, each beside its random ones.

    A random scan is shown itself only if no other method was scanned on this model at this level.
    """
    found = list(records)
    random = [record for record in found if is_random(record.case.method)]
    others = [record for record in found if not is_random(record.case.method)]
    taken = {_place(record) for record in others}
    shown = [*others, *(record for record in random if _place(record) not in taken)]
    return sorted((_scan(record, random) for record in shown), key=_order)


def recommendations(found: Sequence[Scan]) -> dict[str, list[str]]:
    """The layer sets that scans recommend, by model, each once; models with nothing to spare are left out."""
    sets: dict[str, list[str]] = {}
    for scan in found:
        if scan.spared and scan.recommended not in sets.setdefault(scan.model, []):
            sets[scan.model].append(scan.recommended)
    return {model: mine for model, mine in sets.items() if mine}


def _place(record: LayersRecord) -> tuple[Any, ...]:
    return record.case.model, record.case.percent, record.done_key.limit


def _order(scan: Scan) -> tuple[Any, ...]:
    return scan.model, scan.percent, scan.limit is not None, scan.limit or 0, scan.method


def _scan(record: LayersRecord, random: Sequence[LayersRecord]) -> Scan:
    case, scan, key = record.case, record.scan, record.done_key
    near = [] if is_random(case.method) else [other for other in random if _place(other)[:2] == _place(record)[:2]]
    unlike = [_unlike_fields(record, other) for other in near]
    seeds = [other for other, names in zip(near, unlike, strict=True) if not names]
    return Scan(
        case=case.id,
        model=case.model,
        source=key.model,
        method=case.method or "",
        percent=case.percent,
        limit=key.limit,
        dtype=record.environment.dtype,
        targets=scan.targets,
        layers=tuple(_layers(record, seeds)),
        steps=tuple(SparingStep(tuple(step.spared), step.predicted, step.measured) for step in scan.steps),
        spared=tuple(scan.spared),
        random_seeds=len(seeds),
        unlike=() if seeds else tuple(dict.fromkeys(chain.from_iterable(unlike))),
        started_at=record.timing.started_at,
        text=scan.text,
        rows=scan.rows,
        unpruned=scan.unpruned,
        pruned=scan.pruned,
        recommended=scan.recommended,
        layers_run=scan.layers_run,
        layers_whole=scan.layers_whole,
        scan_s=scan.scan_s,
    )


def _layers(record: LayersRecord, seeds: Sequence[LayersRecord]) -> Iterator[ScannedLayer]:
    scan, spared = record.scan, set(record.scan.spared)
    for index, (alone, all_but) in enumerate(zip(scan.alone, scan.all_but, strict=True)):
        yield ScannedLayer(
            layer=index,
            harm=alone - scan.unpruned,
            given_back=scan.pruned - all_but,
            is_spared=index in spared,
            random=_random_harm([other.scan.alone[index] - other.scan.unpruned for other in seeds]),
            **_explained(record.pruning.removed, index),
        )


def _random_harm(harms: Sequence[float]) -> RandomHarm | None:
    return RandomHarm(fmean(harms), min(harms), max(harms)) if harms else None


def _explained(removed: Removed | None, layer: int) -> dict[str, float | None]:
    """What was removed from a layer; all None for a layer without these numbers."""
    if removed is None or layer not in removed.layers:
        return dict.fromkeys(EXPLANATIONS)
    place = removed.layers.index(layer)
    return {name: getattr(removed, name)[place] for name in EXPLANATIONS}


def _unlike_fields(record: LayersRecord, other: LayersRecord) -> list[str]:
    """Names of the fields in which two scans must not differ to be compared, but do."""
    first, second = (_shared(found) for found in (record, other))
    return [
        one_line(str(name))[:_LONGEST_NAME]
        for name in {**first, **second}
        if first.get(name, _ABSENT) != second.get(name, _ABSENT)
    ]


def _shared(record: LayersRecord) -> dict[str, Any]:
    key = {name: value for name, value in record.done_key.as_json().items() if name not in _METHOD_FIELDS}
    text = {name: getattr(record.scan, name) for name in _TEXT_FIELDS}
    return {**key, **text, "layers": len(record.scan.alone)}
