"""Layer scans as sentences: which layers are worth sparing and why, and whether single harms add up."""

from __future__ import annotations

from collections.abc import Iterator

from glu_lib.analysis.scans import Scan, ScannedLayer
from glu_lib.report import number
from glu_lib.study.layers import as_ranges
from glu_lib.wording import counted


def scan_sentences(scan: Scan) -> Iterator[str]:
    """The findings of a scan: each spared layer, the recommended layers, and harms that do not add up."""
    place = f"Layer scan at p{scan.percent}, {scan.method}"
    if scan.limit is not None:
        place += f" (limited run, {counted(scan.rows, 'row')} of text)"
    for index in scan.spared:
        yield f"{place}, {_spared(scan, scan.layers[index])}"
    whole = f"pruning all {len(scan.layers)} layers multiplies the perplexity by {_times(scan.pruned - scan.unpruned)}"
    if scan.spared:
        rest = _times(scan.last.measured - scan.unpruned)
        yield f"{place}: {whole}, sparing {_layers(scan)} by {rest} (--layers {scan.recommended})."
    else:
        most = scan.by_harm[0]
        yield (
            f"{place}: no layer is worth sparing; {whole}, pruning layer {most.layer} alone, the most harmful, by "
            f"{_times(most.harm)}."
        )
    first = next(step for step in scan.steps if not step.spared)
    predicted, measured = number.perplexity(first.predicted), number.perplexity(first.measured)
    if not first.adds_up and predicted != measured:  # both may be collapsed
        yield (
            f"{place}: the harms of single layers do not add up; for all layers pruned they predict a perplexity of "
            f"{predicted}, measured is {measured}."
        )


def _spared(scan: Scan, layer: ScannedLayer) -> str:
    """Why a layer is spared: what its removed neurons hold, and its harm alone beside random's."""
    random = "" if layer.random is None else f" (random: {_times(layer.random.mean)})"
    harm = f"multiplies the perplexity by {_times(layer.harm)}{random}"
    if layer.activation_share is None:
        return f"layer {layer.layer}: pruning it alone {harm}."
    return (
        f"layer {layer.layer}: the {scan.percent} % of neurons that {scan.method} removes hold "
        f"{number.share(layer.activation_share)} of the squared activations; pruning it alone {harm}."
    )


def _layers(scan: Scan) -> str:
    return f"{'layer' if len(scan.spared) == 1 else 'layers'} {as_ranges(scan.spared)}"


def _times(harm: float) -> str:
    return number.factor(harm).removeprefix("x").replace("> ", "more than ")
