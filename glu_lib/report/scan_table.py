"""Layer scans as tables: the harm of each layer beside random's, and the perplexity after each spared layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from glu_lib.analysis.scans import RandomHarm, Scan, ScannedLayer
from glu_lib.report import number
from glu_lib.report.listings import Listing
from glu_lib.study.layers import as_ranges
from glu_lib.wording import counted, duration

SCAN_COLUMNS = ("layer", "alone", "random", "given back", "squared activations removed", "largest activation removed")
STEP_COLUMNS = ("spared layers", "which", "perplexity predicted", "measured")
SCAN_LEGEND = (
    "alone: factor on the perplexity with only this layer pruned; given back: perplexity with all layers pruned / "
    "with all but this one; activations: of the removed neurons on the text's first row, largest beside that of all"
)
MOST_LAYERS = 12  # of a table in the terminal; the page folds a longer one


@dataclass(frozen=True, slots=True)
class ScanParts:
    """A scan on the page: its tables and notes; the page folds a table of many layers."""

    title: str
    layers: Listing
    steps: Listing
    notes: tuple[str, ...]
    is_long: bool


def scan_parts(scan: Scan) -> ScanParts:
    """The tables and notes of a scan, with all its layers."""
    is_long = len(scan.layers) > MOST_LAYERS
    return ScanParts(scan.title, scan_listing(scan), step_listing(scan), tuple(scan_notes(scan)), is_long)


def scan_listing(scan: Scan) -> Listing:
    """All layers of a scan."""
    return Listing(f"{scan.title}: perplexity with one layer pruned / unpruned", SCAN_COLUMNS, _rows(scan.layers))


def short_scan_listing(scan: Scan) -> Listing:
    """The most harmful layers of a scan, at most `MOST_LAYERS`, by layer."""
    if len(scan.layers) <= MOST_LAYERS:
        return scan_listing(scan)
    chosen = sorted(scan.by_harm[:MOST_LAYERS], key=lambda layer: layer.layer)
    caption = (
        f"{scan.title}: perplexity with one layer pruned / unpruned, the {MOST_LAYERS} most harmful of "
        f"{len(scan.layers)} layers"
    )
    return Listing(caption, SCAN_COLUMNS, _rows(chosen))


def step_listing(scan: Scan) -> Listing:
    """The perplexity over the number of spared layers: as the sum of the single harms predicts it, and as measured."""
    rows = tuple(
        (str(len(step.spared)), as_ranges(step.spared) or "–", number.perplexity(step.predicted),
         number.perplexity(step.measured))
        for step in scan.steps
    )  # fmt: skip
    caption = f"{scan.title}: perplexity with all layers pruned but the spared ones; unpruned {_unpruned(scan)}"
    return Listing(caption, STEP_COLUMNS, rows)


def scan_notes(scan: Scan) -> Iterator[str]:
    """The text, what the scan is compared with, the recommended layers, and the work; without full stops."""
    seeds = counted(scan.random_seeds, "seed")
    yield f"text: {scan.text}, {scan.targets:,} tokens"
    if scan.random_seeds:
        yield f"random: as many random neurons of the layer, mean (lowest to highest) of {seeds}"
    elif scan.unlike:
        yield f"random: not comparable, its scans differ in {number.listed(scan.unlike)}"
    else:
        yield f"random: not scanned; run pytest -m layers -k {scan.model}"
    yield recommendation(scan)
    if scan.saved_share:
        yield (
            f"{scan.layers_run:,} of {scan.layers_whole:,} layers computed ({number.share(scan.saved_share)} saved by "
            f"kept beginnings), {duration(scan.scan_s)}"
        )


def recommendation(scan: Scan) -> str:
    """The recommended layers as an option, `recommended: --layers 1-29 (spares 0)`."""
    if not scan.spared:
        return "recommended: prune all layers (no layer is worth sparing)"
    return f"recommended: --layers {scan.recommended} (spares {as_ranges(scan.spared)})"


def _unpruned(scan: Scan) -> str:
    return number.perplexity(scan.unpruned)


def _rows(layers: Sequence[ScannedLayer]) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (
            f"{layer.layer} (spared)" if layer.is_spared else str(layer.layer),
            number.factor(layer.harm),
            random_text(layer.random),
            number.factor(layer.given_back),
            "–" if layer.activation_share is None else number.share(layer.activation_share),
            _largest(layer),
        )
        for layer in layers
    )


def random_text(random: RandomHarm | None) -> str:
    """Mean and range of random's factors, `x1.10 (1.02 to 1.20)`; `–` without a comparable scan."""
    if random is None:
        return "–"
    low, high = (number.factor(value).removeprefix("x") for value in (random.low, random.high))
    return f"{number.factor(random.mean)} ({low} to {high})"


def _largest(layer: ScannedLayer) -> str:
    return f"{number.significant(layer.largest_activation)} of {number.significant(layer.largest_of_all)}"
