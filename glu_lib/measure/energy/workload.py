"""Measure a generation workload: time to first token and per token, throughput, memory and energy, once per seed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from glu_lib.errors import MeasurementError
from glu_lib.machine.memory import PeakMemory, peak_memory
from glu_lib.measure.energy.conditions import observed_conditions
from glu_lib.measure.energy.idle import ATTEMPTS, IdlePower, busy_machine
from glu_lib.measure.energy.prompts import random_batches, tokenized_batches, workload_prompts
from glu_lib.measure.energy.timed_generation import generate_fixed, generate_natural, time_steps
from glu_lib.measure.energy.window import EnergyMeter
from glu_lib.measure.tasks.task_library import TaskLibrary
from glu_lib.models.loading import LoadedModel
from glu_lib.results.energy import EnergyReading
from glu_lib.results.plausibility import implausible
from glu_lib.results.records import AnyRepeat, FixedRepeat, Repeat, one_line_of
from glu_lib.results.repeats import percentiles, summarize
from glu_lib.study import Study, Workload
from glu_lib.study.settings import Settings, Weights

if TYPE_CHECKING:
    from transformers import BatchEncoding

_TIMED_BATCHES = 10  # most batches in the pass that times each token


@dataclass(slots=True)
class WorkloadProfile:
    """The measurement of a workload on one model, with one repeat per seed.

    Each repeat has two energy windows. In the first, every row gets exactly `new_tokens` tokens, so that levels can be
    compared; in the second, rows have their natural length. Both repeat whole passes over the prompts until they are at
    least `min_window_s` long. Before the windows, prompts are tokenized and one full batch is run as a warm-up. Times
    of single tokens and peak memory come from separate passes outside the windows.

    `loaded` is the pruned model with its tokenizer, `prompts` the texts to draw from (None: random tokens), `idle` the
    idle power with the model loaded (None if it was not measured), `log` the folder for CodeCarbon's rows, and
    `measuring_s` the total time of the repeats in seconds. Without `has_natural`, the second window is left out.
    """

    loaded: LoadedModel
    workload: Workload
    prompts: list[str] | None
    meter: EnergyMeter
    settings: Settings
    idle: IdlePower | None
    log: Path
    has_natural: bool = True
    repeats: list[dict[str, Any]] = field(default_factory=list)
    measuring_s: float = 0.0

    def measure(self, seed: int) -> None:
        """Measure one repeat: draw prompts by `seed` and generate answers inside energy windows.

        If other processes were busy, the repeat is retried a few times.

        Raises:
            MeasurementError: if a figure is impossible, or the machine is shared and that is not allowed.
        """
        start_s = time.perf_counter()
        batches = self._batches(seed)
        _check_room(self.loaded, self.workload, batches)
        for _ in range(ATTEMPTS):
            repeat = self._repeat(seed, batches)
            if repeat["conditions"]["exclusive"] or self.settings.allow_shared:
                break
        else:
            raise busy_machine(self.workload.key, repeat["conditions"])
        _check(self.workload, repeat, Repeat if self.has_natural else FixedRepeat)
        self.repeats.append(repeat)
        self.measuring_s += time.perf_counter() - start_s

    def _repeat(self, seed: int, batches: list[BatchEncoding]) -> dict[str, Any]:
        self.meter.start(self.loaded.model.device)
        with observed_conditions(self.loaded.model.device, allow_shared=self.settings.allow_shared) as conditions:
            # Warm-up: the first batch of a shape allocates memory.
            generate_fixed(self.loaded, batches[0], self.workload.new_tokens)
            repeat = {
                "seed": seed,
                **_step_times(self.loaded, self.workload, batches),
                **self._fixed_length(batches),
                **({"natural": self._natural_length(batches)} if self.has_natural else {}),
            }
        return repeat | {"conditions": conditions}

    def result(self, other_models_bytes: int = 0) -> dict[str, Any]:
        """The results of all repeats, and of an additional pass that measures peak memory.

        Args:
            other_models_bytes: size of other models loaded at the same time, which is subtracted from memory figures.

        Returns:
            Those of `figures`, and `generation_memory`.
        """
        return self.figures() | {"generation_memory": self.peak().without(other_models_bytes).as_dict()}

    def figures(self) -> dict[str, Any]:
        """The results of all repeats, as JSON values with the unit in each name.

        These are `repeats` (one dictionary per seed), `profile` (a summary of each figure over the repeats), `idle`,
        `weights` and `measuring_s`.
        """
        names = [name for name, value in self.repeats[0].items() if name.endswith(("_ms", "_j", "_per_s"))]
        return {
            "repeats": self.repeats,
            "profile": {name: summarize([repeat[name] for repeat in self.repeats]) for name in names},
            "measuring_s": self.measuring_s,
            "weights": str(self.settings.weights),
            "idle": self.idle.as_dict() if self.idle else None,
        }

    def peak(self) -> PeakMemory:
        """Peak memory of one batch, in a pass of its own."""
        with peak_memory(str(self.loaded.model.device)) as memory:
            generate_fixed(self.loaded, self._batches(self.workload.seeds[-1])[0], self.workload.new_tokens)
        return memory

    def pass_functions(self) -> Iterator[Callable[[], None]]:
        """One function per seed that runs one pass at fixed length; tokenizing and warm-up are done before it."""
        for seed in self.workload.seeds:
            batches = self._batches(seed)
            generate_fixed(self.loaded, batches[0], self.workload.new_tokens)

            def run_pass(batches: list[BatchEncoding] = batches) -> None:
                for batch in batches:
                    generate_fixed(self.loaded, batch, self.workload.new_tokens)

            yield run_pass

    def _fixed_length(self, batches: list[BatchEncoding]) -> dict[str, Any]:
        """One energy window over whole passes of the prompts, with every row of the same length."""
        rows = sum(batch["input_ids"].shape[0] for batch in batches)
        passes = 0
        with self.meter.window(self.loaded.model.device, self.log) as window:
            start_s = time.perf_counter()  # not earlier: opening a run's first window may take a second
            while passes == 0 or time.perf_counter() - start_s < self.settings.min_window_s:
                for batch in batches:
                    generate_fixed(self.loaded, batch, self.workload.new_tokens)
                passes += 1
        tokens = passes * rows * self.workload.new_tokens
        figures = _figures(window.result(), tokens, passes * rows, self.idle)
        return {"passes": passes, "rows": rows, "new_tokens": tokens, **figures}

    def _natural_length(self, batches: list[BatchEncoding]) -> dict[str, Any]:
        """One energy window over whole passes of the prompts, with every row of its natural length.

        `row_tokens` are the lengths of one pass. All passes give the same rows, because decoding is greedy.
        """
        passes = 0
        with self.meter.window(self.loaded.model.device, self.log) as window:
            start_s = time.perf_counter()  # not earlier: opening a run's first window may take a second
            while passes == 0 or time.perf_counter() - start_s < self.settings.min_window_s:
                row_tokens: list[int] = []
                for batch in batches:
                    row_tokens += generate_natural(self.loaded, batch, self.workload.new_tokens)
                passes += 1
        tokens = passes * sum(row_tokens)
        figures = _figures(window.result(), tokens, passes * len(row_tokens), self.idle)
        return {"passes": passes, "new_tokens": tokens, "row_tokens": row_tokens, **figures}

    def _batches(self, seed: int) -> list[BatchEncoding]:
        limit = self.settings.limit
        if self.prompts is None:
            return random_batches(self.loaded, self.workload, seed, limit)
        return tokenized_batches(self.loaded, self.workload, seed, self.prompts, limit)


def profile_workload(
    loaded: LoadedModel,
    workload: Workload,
    meter: EnergyMeter,
    library: TaskLibrary,
    study: Study,
    settings: Settings,
    idle: IdlePower | None,
    log: Path,
) -> WorkloadProfile:
    """Load the prompts of a workload and return its profile, without any repeat yet.

    Prompts come from the workload's task. With random weights, or if the workload names no task, they are random
    tokens.

    Raises:
        AccessError: if the task's data cannot be loaded.
        MeasurementError: if there are too few prompts.
    """
    is_made_up = settings.weights is Weights.RANDOM or workload.prompts is None
    prompts = None if is_made_up else workload_prompts(workload, library, study, settings)
    return WorkloadProfile(loaded, workload, prompts, meter, settings, idle, log)


def _step_times(loaded: LoadedModel, workload: Workload, batches: list[BatchEncoding]) -> dict[str, Any]:
    """Time to first token and time per output token in milliseconds; the latter is None if there is only one token."""
    steps = [time_steps(loaded, batch, workload.new_tokens) for batch in batches[:_TIMED_BATCHES]]
    first = percentiles([step.first_token_ms for step in steps])
    later = percentiles([tick for step in steps for tick in step.later_tokens_ms])
    return {
        "time_to_first_token_ms": first["p50"],
        "time_per_output_token_ms": later["p50"],
        "time_per_output_token_p90_ms": later["p90"],
        "time_per_output_token_p99_ms": later["p99"],
    }


def _figures(energy: EnergyReading, tokens: int, responses: int, idle: IdlePower | None) -> dict[str, Any]:
    """Throughput, and joules per token and per response: gross, and net of idle power if that is known."""
    net_j = idle.net_j(energy) if idle else None
    return {
        "tokens_per_s": tokens / energy.window_s,
        "energy_per_token_j": None if energy.total_j is None else energy.total_j / tokens,
        "net_energy_per_token_j": None if net_j is None else net_j / tokens,
        "energy_per_response_j": None if energy.total_j is None else energy.total_j / responses,
        "energy": energy.as_dict(),
    }


def _check_room(loaded: LoadedModel, workload: Workload, batches: list[BatchEncoding]) -> None:
    """Check that prompt and answer fit into the model's context, because positions beyond it are not supported."""
    longest = max(batch["input_ids"].shape[1] for batch in batches) + workload.new_tokens
    context = loaded.model.config.max_position_embeddings
    if longest > context:
        raise MeasurementError(
            f"workload {workload.key}: prompt and {workload.new_tokens} new tokens need {longest} tokens, and the "
            f"model's context has {context}; leave the workload out for this model"
        )


def _check(workload: Workload, repeat: dict[str, Any], kind: type[AnyRepeat]) -> None:
    """Refuse impossible figures."""
    try:
        claims = kind.model_validate(repeat).claims(workload.key, workload.new_tokens)
    except ValidationError as error:
        raise MeasurementError(f"impossible figures, nothing is recorded: {one_line_of(error)}") from error
    found = [line for claim in claims for line in implausible(claim)]
    if found:
        raise MeasurementError(f"impossible figures, nothing is recorded: {'; '.join(found)}")
