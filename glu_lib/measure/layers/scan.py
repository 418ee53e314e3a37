"""The layer scan: perplexity with each layer pruned alone, with all but it, and with the most harmful layers spared."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from glu_lib.errors import NotFiniteError
from glu_lib.measure.layers.beginnings import Beginnings, LayerRuns
from glu_lib.measure.prepared import PreparedModel
from glu_lib.models.cut import Cut, Texts
from glu_lib.models.pruning_result import PruningResult
from glu_lib.models.shapes import count_parameters
from glu_lib.results.unfinished import Answers, request_key
from glu_lib.study.layers import as_ranges
from glu_lib.study.pruning import Pruning

# A layer is spared if that gives back more than this many times an even share of the harm that is left. An even share
# is the harm divided by the number of layers that are still pruned.
SPARED_SHARE = 3.0
# Harm, in log-perplexity, that is not worth sparing a layer for: 2 % of the perplexity.
SMALL_HARM = 0.02
_MOST_SPARED = 0.25  # of the layers
_EQUAL = 1e-4  # relative difference of two log-perplexities that are the same computation


@dataclass(slots=True)
class LayerScanResult:
    """The measured log-perplexities (nats per token) of one scan; lists have one value per layer.

    `alone`: only this layer pruned. `all_but`: all layers but this one. `steps`: the layers spared so far, with the
    log-perplexity that the sum of the single harms predicts, and the measured one. `spared` are the layers whose
    sparing pays (`SPARED_SHARE`), `recommended` the layers that are left to prune, as `--layers` takes them.
    `layers_run` counts computed layers, `layers_whole` those that the same runs would have computed without kept
    beginnings; `reuses_beginnings` says whether this architecture allows it.
    """

    rows: int
    row_tokens: int
    targets: int
    unpruned: float
    pruned: float = math.nan
    alone: list[float] = field(default_factory=list)
    all_but: list[float] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    spared: list[int] = field(default_factory=list)
    recommended: str = "all"
    reuses_beginnings: bool = True
    layers_run: int = 0
    layers_whole: int = 0
    scan_s: float = 0.0


def scan_layers(
    prepared: PreparedModel, pruning: Pruning, texts: Texts, rows: Any, answers: Answers
) -> tuple[LayerScanResult, PruningResult]:
    """Scan the layers of an unpruned model; the model is unpruned again afterwards.

    The outputs of the layers below the one in question are kept and not computed again, if the model's own result
    shows that this gives the same perplexity. In memory are the model, a pruned copy of all its MLPs, and the outputs
    of all layers for the text.

    Args:
        prepared: the unpruned model.
        pruning: level and method of the pruned layers.
        texts: as for `prune`.
        rows: token ids of the fixed text, (rows, tokens).
        answers: the journal, with the perplexities of an interrupted run.

    Returns:
        The scan, and the description of the model with all layers pruned.

    Raises:
        NotFiniteError: if a perplexity is not finite.
        AccessError: as `prune`.
        VerificationError: as `prune`.
    """
    from tqdm.auto import tqdm

    start_s = time.perf_counter()
    model = prepared.loaded.model
    unpruned_parameters = count_parameters(model)
    cut = Cut(model, pruning, texts)
    runs = LayerRuns(model, rows)
    count = len(runs.layers)
    copies = [cut.pruned_copy(index) for index in range(count)]
    prune_s = time.perf_counter() - start_s
    scan = _Scan(runs, copies, answers)
    lowest, beginnings = runs.whole()
    kept = beginnings if _fits(runs, lowest, beginnings) else None
    found = LayerScanResult(rows.shape[0], rows.shape[1], runs.targets, _finite("unpruned", lowest))
    found.reuses_beginnings = kept is not None
    everything = range(count)
    found.alone = [
        scan.measured(f"alone {index}", [index], index, kept) for index in tqdm(everything, "Layers pruned alone")
    ]
    with scan.pruned(everything):
        found.pruned, beginnings = runs.whole()
        _finite("all layers pruned", found.pruned)
        result = cut.result(unpruned_parameters, prune_s)
    kept = beginnings if kept else None
    found.all_but = [
        scan.measured(f"all but {index}", [other for other in everything if other != index], index, kept)
        for index in tqdm(everything, "All layers pruned but one")
    ]
    _spare(found, lambda pruned, first: scan.measured(f"pruned {as_ranges(pruned)}", pruned, first, kept))
    found.layers_run, found.layers_whole = runs.layers_run, runs.layers_whole
    found.scan_s = time.perf_counter() - start_s
    return found, result


def _spare(found: LayerScanResult, measure: Callable[[list[int], int], float]) -> None:
    """Spare the layers in the order of their harm alone, as long as it pays; each step is measured."""
    count = len(found.alone)
    harm = [value - found.unpruned for value in found.alone]
    now = found.pruned
    found.steps = [{"spared": [], "predicted": found.unpruned + sum(harm), "measured": now}]
    for layer in sorted(range(count), key=lambda index: -harm[index])[: max(1, int(count * _MOST_SPARED))]:
        left = now - found.unpruned
        if left <= SMALL_HARM:
            break
        spared = sorted([*found.spared, layer])
        pruned = [index for index in range(count) if index not in spared]
        predicted = found.unpruned + sum(harm[index] for index in pruned)
        measured = measure(pruned, min(spared)) if pruned else found.unpruned
        found.steps.append({"spared": spared, "predicted": predicted, "measured": measured})
        if now - measured <= SPARED_SHARE * left / (count - len(found.spared)):
            break
        found.spared, now = spared, measured
    if found.spared:
        found.recommended = as_ranges(index for index in range(count) if index not in found.spared)


@dataclass(slots=True)
class _Scan:
    """Measures a model with some layers pruned, or takes the value from the journal."""

    runs: LayerRuns
    copies: Sequence[Any]
    answers: Answers

    def measured(self, name: str, pruned: Sequence[int], start: int, beginnings: Beginnings | None) -> float:
        """The log-perplexity with the layers `pruned`; those below `start` are as in `beginnings`."""
        key = request_key(name)
        known = self.answers.get(key)
        if isinstance(known, float):
            return known
        with self.pruned(pruned):
            value = _finite(name, self.runs.from_layer(start, beginnings))
        self.answers.put({key: value})
        return value

    @contextmanager
    def pruned(self, pruned: Sequence[int]) -> Iterator[None]:
        """Put the pruned copies in the place of the MLPs of these layers."""
        layers = self.runs.layers
        originals = {index: layers[index].mlp for index in pruned}
        for index in pruned:
            layers[index].mlp = self.copies[index]
        try:
            yield
        finally:
            for index, mlp in originals.items():
                layers[index].mlp = mlp


def _fits(runs: LayerRuns, lowest: float, beginnings: Beginnings) -> bool:
    """Whether the model gives the same perplexity from a middle layer on as when it runs whole."""
    try:
        found = runs.from_layer(len(runs.layers) // 2, beginnings)
    except (TypeError, ValueError, AttributeError, RuntimeError, IndexError):
        return False
    return math.isclose(found, lowest, rel_tol=_EQUAL)


def _finite(name: str, value: float) -> float:
    if not math.isfinite(value):
        raise NotFiniteError(f"layer scan, {name}: the perplexity is not a number; use --dtype float32")
    return value


def scan_fields(found: LayerScanResult, text: str) -> dict[str, Any]:
    """The scan as JSON values, with the description of its text."""
    return {"text": text, **asdict(found)}
