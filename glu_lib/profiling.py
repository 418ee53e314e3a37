"""Generation workloads: time to first token, time per output token, throughput and energy per token."""

from __future__ import annotations

import random
import statistics
import time
from typing import TYPE_CHECKING, Any

from glu_lib.energy import EnergyMeter, EnergyReading
from glu_lib.environment import synchronize
from glu_lib.errors import MeasurementError
from glu_lib.evaluation import TaskLibrary
from glu_lib.models import LoadedModel
from glu_lib.settings import Settings
from glu_lib.study import Study, Workload

if TYPE_CHECKING:
    from transformers import BatchEncoding

_MS_PER_S = 1000.0


def profile_workload(
    loaded: LoadedModel,
    workload: Workload,
    meter: EnergyMeter,
    library: TaskLibrary,
    study: Study,
    settings: Settings,
) -> dict[str, Any]:
    """Generate a workload's answers, once per seed, inside energy windows.

    Every row gets exactly `new_tokens` tokens (`min_new_tokens = max_new_tokens`), so that tokens are
    real tokens at every level. Prompts are tokenized and one full-shape batch is run before the window
    opens. The prompts are gone through again until the window is at least `min_window_s` long.

    Args:
        loaded: the pruned model and its tokenizer.
        workload: prompts, new tokens, batch size, seeds.
        meter: the process's energy meter.
        library: where the prompts' task is loaded.
        study: resolves the workload's prompt task.
        settings: seed, limit, shortest window in seconds.

    Returns:
        `repeats` (one dictionary per seed) and `profile`, the mean and sample standard deviation over
        them of each figure; JSON values with the unit in each name.
    """
    prompts = _prompts(workload, library, study, settings)
    repeats = []
    for seed in workload.seeds:
        batches = _tokenized_batches(loaded, workload, random.Random(seed), prompts, settings.limit)
        _generate(loaded, batches[0], workload.new_tokens)  # first use of a shape compiles and allocates
        first_token_ms = _first_token_ms(loaded, batches)
        repeats.append({"seed": seed, **_measure(loaded, workload, batches, first_token_ms, meter, settings)})
    names = ("time_to_first_token_ms", "time_per_output_token_ms", "tokens_per_s", "energy_per_token_j")
    return {
        "repeats": repeats,
        "profile": {name: _summary([repeat[name] for repeat in repeats]) for name in names},
    }


def _measure(
    loaded: LoadedModel,
    workload: Workload,
    batches: list[BatchEncoding],
    first_token_ms: float,
    meter: EnergyMeter,
    settings: Settings,
) -> dict[str, Any]:
    """One energy window over whole passes of the prompts.

    Time per output token is (batch time - time to first token) / (new tokens - 1), the mean over
    batches; None for one-token workloads, which have no later token.
    """
    rows = sum(batch["input_ids"].shape[0] for batch in batches)
    passes, start_s = 0, time.perf_counter()
    with meter.window(loaded.model.device) as window:
        while passes == 0 or time.perf_counter() - start_s < settings.min_window_s:
            for batch in batches:
                _generate(loaded, batch, workload.new_tokens)
            passes += 1
    energy = window.result()
    tokens = passes * rows * workload.new_tokens
    batch_ms = energy.window_s * _MS_PER_S / (passes * len(batches))
    later = workload.new_tokens - 1
    return {
        "passes": passes,
        "rows": rows,
        "new_tokens": tokens,
        "time_to_first_token_ms": first_token_ms,
        "time_per_output_token_ms": (batch_ms - first_token_ms) / later if later else None,
        "tokens_per_s": tokens / energy.window_s,
        "energy_per_token_j": _per_token(energy, tokens),
        "energy": energy.as_dict(),
    }


def _per_token(energy: EnergyReading, tokens: int) -> float | None:
    """Gross joules of the window over tokens generated in the same window."""
    return None if energy.total_j is None else energy.total_j / tokens


def _first_token_ms(loaded: LoadedModel, batches: list[BatchEncoding]) -> float:
    """Median over batches of the time from the prompt to its first new token, milliseconds."""
    return statistics.median(_generate(loaded, batch, 1) for batch in batches)


def _generate(loaded: LoadedModel, batch: BatchEncoding, new_tokens: int) -> float:
    """Generate exactly `new_tokens` per row, greedily; milliseconds, device synchronized at both edges."""
    import torch

    device = loaded.model.device
    synchronize(device)
    start_s = time.perf_counter()
    with torch.inference_mode():
        output = loaded.model.generate(  # type: ignore[operator]
            **batch,
            do_sample=False,
            min_new_tokens=new_tokens,
            max_new_tokens=new_tokens,
            pad_token_id=loaded.tokenizer.pad_token_id,
        )
    synchronize(device)
    elapsed_ms = (time.perf_counter() - start_s) * _MS_PER_S
    generated = output.shape[1] - batch["input_ids"].shape[1]
    if generated != new_tokens:
        raise MeasurementError(
            f"{generated} tokens were generated where {new_tokens} were asked; energy per token is void"
        )
    return elapsed_ms


def _prompts(workload: Workload, library: TaskLibrary, study: Study, settings: Settings) -> list[str]:
    """The distinct prompts of the workload's task, in lm-eval's order."""
    loaded = library.load(study.tasks[workload.prompts], seed=settings.seed)
    contexts: dict[str, None] = {}
    for task in loaded["tasks"].values():
        task.build_all_requests(rank=0, world_size=1)
        contexts |= dict.fromkeys(instance.args[0] for instance in task.instances)
    if len(contexts) < workload.num_prompts:
        raise MeasurementError(
            f"workload {workload.key}: task {workload.prompts} has {len(contexts)} distinct prompts, "
            f"{workload.num_prompts} are needed; lower the workload's num_prompts"
        )
    return list(contexts)


def _tokenized_batches(
    loaded: LoadedModel, workload: Workload, chance: random.Random, prompts: list[str], limit: int | None
) -> list[BatchEncoding]:
    """`num_prompts` prompts drawn by `chance`, left-padded into batches on the model's device."""
    count = min(workload.num_prompts, limit or workload.num_prompts)
    chosen = chance.sample(prompts, count)
    tokenizer = loaded.tokenizer
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return [
        tokenizer(
            chosen[start : start + workload.batch_size],
            return_tensors="pt",
            padding=True,
            return_token_type_ids=False,
        ).to(loaded.model.device)
        for start in range(0, count, workload.batch_size)
    ]


def _summary(values: list[float | None]) -> dict[str, Any]:
    """Mean and sample standard deviation (n - 1) over the repeats; None where a repeat has no value."""
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return {"mean": None, "standard_deviation": None, "n": len(known)}
    deviation = statistics.stdev(known) if len(known) > 1 else None
    return {"mean": statistics.fmean(known), "standard_deviation": deviation, "n": len(known)}
