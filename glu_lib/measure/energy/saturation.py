"""Measure a workload at growing batch sizes: throughput, times, energy and memory at each, and what stops it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glu_lib.machine.memory import PeakMemory, usable_bytes
from glu_lib.measure.energy.idle import IdlePower
from glu_lib.measure.energy.prompts import workload_prompts
from glu_lib.measure.energy.window import EnergyMeter
from glu_lib.measure.energy.workload import WorkloadProfile
from glu_lib.measure.tasks.task_library import TaskLibrary
from glu_lib.models.loading import LoadedModel
from glu_lib.results.records.serving import Stop, StopReason, doubling_gain
from glu_lib.study import Saturation, Study
from glu_lib.study.settings import Settings, Weights


class NoRoomError(MemoryError):
    """A batch is not tried, because the memory that it needs is known to be more than there is."""


@dataclass(slots=True)
class SaturationProfile:
    """The measurement of a growing batch on one model: at each size one repeat per seed, with its energy window.

    `at` gives the measurement of one batch size. For each size call `begin`, `measure` once per seed, then `finish`.
    The first condition that a level meets is its `stop`; a level that has stopped gaining throughput may go on, so
    that all levels have figures at the same sizes. A level whose memory is full (`is_full`) measures nothing more.
    """

    workload: Saturation
    at: Callable[[int], WorkloadProfile]
    batch_sizes: tuple[int, ...]
    device: str
    stop: Stop | None = None
    is_full: bool = False
    _finished: dict[int, dict[str, Any]] = field(default_factory=dict)
    _peaks: dict[int, PeakMemory] = field(default_factory=dict)
    _current: WorkloadProfile | None = None

    def begin(self, batch_size: int) -> None:
        """Go to the next batch size."""
        self._current = self.at(batch_size)

    def measure(self, seed: int) -> None:
        """Measure one repeat at the current batch size.

        Raises:
            MeasurementError: as `WorkloadProfile.measure`.
            MemoryError: if memory runs out; as NoRoomError, if the batch is known not to fit and was not tried.
        """
        assert self._current is not None
        self._check_room(self._current.workload.batch_size)
        self._current.measure(seed)

    def ran_out(self, error: BaseException) -> bool:
        """Take note that memory ran out at the current batch size; False if it did so at the smallest one."""
        assert self._current is not None
        reason = StopReason.MEMORY_BOUND if isinstance(error, NoRoomError) else StopReason.MEMORY
        self.is_full = True
        self.stop = self.stop or Stop(reason, self._current.workload.batch_size)
        return bool(self._finished)

    def finish(self) -> None:
        """Sum up the current batch size: its figures, its peak memory, and whether doubling the batch still gained."""
        assert self._current is not None
        size = self._current.workload.batch_size
        self._peaks[size] = self._current.peak()
        self._finished[size] = {"batch_size": size, **self._current.figures()}
        gain = doubling_gain(
            [(size, found["profile"]["tokens_per_s"]["mean"]) for size, found in self._finished.items()]
        )
        if self.stop is None and gain is not None and gain < self.workload.least_gain:
            self.stop = Stop(StopReason.THROUGHPUT, size, gain)
        if self.stop is None and size == self.batch_sizes[-1]:
            self.stop = Stop(StopReason.LARGEST, size, gain)

    def result(self, other_models_bytes: int = 0) -> dict[str, Any]:
        """The figures of all finished batch sizes, and what stopped the level.

        Args:
            other_models_bytes: size of other models loaded at the same time, which is subtracted from memory figures.

        Returns:
            `batches` (one dictionary per size, ascending), `stop`, `idle`, `weights` and `measuring_s`; JSON values.
        """
        assert self.stop is not None
        measuring_s = sum(found["measuring_s"] for found in self._finished.values())
        memory = {size: peak.without(other_models_bytes).as_dict() for size, peak in self._peaks.items()}
        of_run = ("measuring_s", "idle", "weights")
        return {
            "batches": [
                {name: value for name, value in found.items() if name not in of_run}
                | {"generation_memory": memory[size]}
                for size, found in self._finished.items()
            ],
            "stop": self.stop.as_dict(),
            "measuring_s": measuring_s,
            **{name: next(iter(self._finished.values()))[name] for name in ("idle", "weights")},
        }

    def _check_room(self, batch_size: int) -> None:
        """Check the memory that a batch needs at least: twice what half of it needed beside the weights.

        On a CPU a process that takes too much is killed, so this must be known beforehand.
        """
        half = self._peaks.get(batch_size // 2)
        if half is None or half.peak_bytes is None or half.before_bytes is None:
            return
        needed, free = 2 * (half.peak_bytes - half.before_bytes), usable_bytes(self.device)
        if needed > free:
            raise NoRoomError(
                f"batch size {batch_size} needs about {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free"
            )


def profile_saturation(
    loaded: LoadedModel,
    workload: Saturation,
    meter: EnergyMeter,
    library: TaskLibrary,
    study: Study,
    settings: Settings,
    idle: IdlePower | None,
    log: Path,
) -> SaturationProfile:
    """Load the prompts of a workload and return its profile, without any batch size yet.

    Arguments and errors are those of `profile_workload`.
    """
    sizes = workload.batch_sizes(settings.limit)
    is_made_up = settings.weights is Weights.RANDOM or workload.prompts is None
    prompts = None if is_made_up else workload_prompts(workload.at(sizes[-1]), library, study, settings)

    def at(batch_size: int) -> WorkloadProfile:
        found = workload.at(batch_size)
        return WorkloadProfile(loaded, found, prompts, meter, settings, idle, log, has_natural=False)

    return SaturationProfile(workload, at, sizes, str(loaded.model.device))
