"""Interleaving: the levels of a model take turns in an energy workload, repeat by repeat, if they fit in memory."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from glu_lib.errors import MeasurementError
from glu_lib.machine.device_errors import is_device_lost, is_out_of_memory
from glu_lib.machine.memory import free_bytes, release_memory
from glu_lib.measure.energy.saturation import SaturationProfile
from glu_lib.measure.energy.workload import WorkloadProfile
from glu_lib.measure.prepared import PreparedModel
from glu_lib.run.levels import Levels
from glu_lib.study import Workload
from glu_lib.study.cases import Case
from glu_lib.study.pruning import Pruning

# Share of the free memory for weights of further models; the rest is for KV caches and activations.
_SHARE_FOR_MODELS = 0.7
# Texts of the records' field `schedule.reason`.
ALONE = "no other level was waiting: not asked for, or measured in another run"
ALL_FAILED = "none of the other levels could be measured; their own cases say why"
DO_NOT_FIT = "the models of all levels do not fit in memory together; levels ran one after the other, in random order"
OUT_OF_MEMORY = "memory ran out beside the models of the other levels; levels ran one after the other, in random order"

Claim = Callable[[Case], bool]


@dataclass(slots=True)
class Turn:
    """One level's case with its model and the measurement in progress."""

    case: Case
    prepared: PreparedModel
    profile: WorkloadProfile | SaturationProfile


@dataclass(slots=True)
class Interleaving:
    """Measures each workload on all pending levels of a model together, in random order within each repeat.

    Drift over hours (temperature, clocks, other processes) then affects all levels alike. This is a randomized complete
    block design with the repeats as blocks (Fisher, The design of experiments, 1935). When the case of the first level
    runs, the models of the other levels are loaded too, and stay in `levels` until their own cases run.
    """

    levels: Levels
    profile: Callable[[Case, PreparedModel], WorkloadProfile | SaturationProfile]
    order_seed: int
    _reasons: dict[tuple[str, str], str] = field(default_factory=dict)

    def measure(
        self, case: Case, prepared: PreparedModel, others: Sequence[Case], claim: Claim
    ) -> dict[Case, tuple[PreparedModel, dict[str, Any]]]:
        """Measure `case` interleaved with the same workload at the other levels.

        A level that cannot be loaded or measured is left out here; its own case reports the error later.

        Args:
            case: the case to measure.
            prepared: its model.
            others: the pending cases of the same workload and model.
            claim: takes the lease of another case; False if another run measures it or has finished it.

        Returns:
            For each case its model and the measured parts of its record.

        Raises:
            GluError: if `case` itself cannot be measured.
        """
        place = (case.model.key, case.subject_key)
        to_load = [other.pruning for other in others if other.group not in self.levels.residents]
        if not others or not fit_together(prepared, to_load):
            reason = DO_NOT_FIT if others else self._reasons.get(place, ALONE)
        else:
            measured = self._measure_together(case, prepared, others, claim)
            if measured is not None:
                return measured
            reason = OUT_OF_MEMORY
            self.levels.release()
        self._reasons[place] = reason  # kept for the last level, which finds no other level left
        return self._measure_alone(case, prepared, reason)

    def _measure_alone(
        self, case: Case, prepared: PreparedModel, reason: str
    ) -> dict[Case, tuple[PreparedModel, dict[str, Any]]]:
        """Measure one case. Its batch size defines the workload, so it is not reduced when memory runs out."""
        try:
            return self._measure([self._turn(case, prepared)], reason)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        size = case.subject.batch_size if isinstance(case.subject, Workload) else 1
        raise MeasurementError(
            f"workload {case.subject_key}: out of memory with batch size {size}; choose a GPU "
            "with more memory or a 16-bit --dtype, or leave the workload out"
        )

    def _measure_together(
        self, case: Case, prepared: PreparedModel, others: Sequence[Case], claim: Claim
    ) -> dict[Case, tuple[PreparedModel, dict[str, Any]]] | None:
        """Measure the cases interleaved; None if memory ran out.

        After None no local variable holds a model any more, so the caller can free the residents.
        """
        try:
            turns = [self._turn(case, prepared), *self._companions(others, claim)]
            return self._measure(turns, None if len(turns) > 1 else ALONE)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return None

    def _turn(self, case: Case, prepared: PreparedModel) -> Turn:
        return Turn(case, prepared, self.profile(case, prepared))

    def _companions(self, cases: Sequence[Case], claim: Claim) -> list[Turn]:
        found = []
        for case in filter(claim, cases):
            try:
                found.append(self._turn(case, self.levels.resident(case)))
            except Exception as error:
                if _concerns_all(error):
                    raise
            else:
                continue
            release_memory()  # after the handler, because the error keeps the failed model's memory alive
        return found

    def _measure(self, turns: list[Turn], reason: str | None) -> dict[Case, tuple[PreparedModel, dict[str, Any]]]:
        chance = random.Random(f"{self.order_seed} {turns[0].case.subject_key}")
        orders = []
        for seed in _rounds(turns):
            order = chance.sample(turns, len(turns))
            for turn in order:
                _take_turn(turn, seed, turns)
            orders.append([turn.case.pruning.key for turn in order if turn in turns])
        if len(turns) == 1 and reason is None:
            reason = ALL_FAILED
        schedule = {"interleaved": reason is None, "orders": orders, "reason": reason}
        loaded_bytes = sum(turn.prepared.parameter_bytes for turn in turns)
        measured = {}
        for turn in turns:
            parts = turn.profile.result(loaded_bytes - turn.prepared.parameter_bytes)
            measured[turn.case] = (turn.prepared, parts | {"schedule": schedule})
        return measured


def _rounds(turns: list[Turn]) -> Iterator[int]:
    """The seeds of the repeats. A growing batch has those of each size, until all levels have met what stops them."""
    profile = turns[0].profile
    if isinstance(profile, WorkloadProfile):
        yield from profile.workload.seeds
        return
    for size in profile.batch_sizes:
        for growing in _growing(turns):
            growing.begin(size)
        for seed in profile.workload.seeds:
            if _growing(turns):
                yield seed
        for growing in _growing(turns):
            growing.finish()
        if all(growing.stop for growing in _growing(turns)):
            return


def _growing(turns: list[Turn]) -> list[SaturationProfile]:
    """The growing batches whose memory is not full."""
    profiles = [turn.profile for turn in turns]
    return [found for found in profiles if isinstance(found, SaturationProfile) and not found.is_full]


def _take_turn(turn: Turn, seed: int, turns: list[Turn]) -> None:
    """Measure one repeat; another level that fails is removed from `turns`, and its own case reports the error.

    Memory that runs out for a growing batch is a result if the level has the whole memory; else all run alone.
    """
    try:
        turn.profile.measure(seed)
    except Exception as error:
        profile, is_alone = turn.profile, len(turns) == 1
        if is_alone and isinstance(profile, SaturationProfile) and is_out_of_memory(error) and profile.ran_out(error):
            return
        if turn is turns[0] or _concerns_all(error):
            raise
        turns.remove(turn)


def _concerns_all(error: Exception) -> bool:
    """Whether an error at one level affects all levels: memory has run out, or the GPU has failed."""
    return is_out_of_memory(error) or is_device_lost(error)


def fit_together(prepared: PreparedModel, others: Sequence[Pruning]) -> bool:
    """Whether the models of the levels `others` fit in memory together with the loaded model.

    Parameters of a pruned model: unpruned parameters − 3 × hidden size × removed neurons of all layers (gate, up and
    down projections).
    """
    model, found = prepared.loaded.model, prepared.pruning
    neuron, layers = 3 * found.hidden_size, len(found.widths)
    unpruned = layers * found.unpruned_width
    kept = [sum(other.widths(found.unpruned_width, layers)) for other in others]
    parameters = sum(found.unpruned_parameters - neuron * (unpruned - neurons) for neurons in kept)
    return parameters * model.dtype.itemsize <= _SHARE_FOR_MODELS * free_bytes(str(model.device))
