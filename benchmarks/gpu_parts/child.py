"""The process that measures units: each leaves its record as soon as it is finished, also if it failed."""

from __future__ import annotations

import pkgutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from glu_lib.machine.device_errors import is_device_lost
from glu_lib.machine.environment import setup_environment
from glu_lib.study.settings import Settings
from gpu_parts.bench import Bench
from gpu_parts.machine import describe
from gpu_parts.plan import Part, Unit
from gpu_parts.records import Records
from gpu_parts.setup import SEED, Setup

LOST = 3  # exit code: the GPU failed and this process can no longer use it
Measure = Callable[[Bench, Unit], dict[str, Any]]


def measure_units(setup: Setup, chosen: Sequence[Unit], until_s: float) -> int:
    """Measure units until `until_s` (time.monotonic); returns the exit code.

    Args:
        setup: the setup.
        chosen: the units, in order.
        until_s: end of the call's time; a unit that would not fit is not started, except for the first one, for which
            this process was started.
    """
    records = Records(setup.output)
    bench = prepared_bench(setup)
    for unit in chosen:
        if unit is not chosen[0] and until_s - time.monotonic() < records.needs_s(unit, is_tiny=setup.is_tiny):
            continue
        records.begin(unit)
        lost = measure_unit(bench, records, unit, measure_of(unit.part))
        records.end()
        if lost:
            return LOST
    return 0


def measure_unit(bench: Bench, records: Records, unit: Unit, measure: Measure) -> bool:
    """Measure a unit and write its record; returns whether the GPU was lost."""
    start_s = time.monotonic()
    try:
        found = measure(bench, unit)
    except Exception as error:  # a part that fails leaves the others alone
        reason, lost = f"{type(error).__name__}: {first_line(error)}", is_device_lost(error)
    else:
        records.done(unit, bench.machine, time.monotonic() - start_s, found)
        return False
    # Not inside the handler: there the exception still holds the tensors of what failed.
    if not lost:
        bench.release()
    records.failed(unit, bench.machine, time.monotonic() - start_s, reason)
    return lost


def first_line(error: BaseException) -> str:
    """The first line of an error's message that says something."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "without a message")


def prepared_bench(setup: Setup) -> Bench:
    """A bench in this process: seeds set, libraries quiet, one thread on a processor."""
    setup_environment(Settings(device=setup.device, dtype=setup.environment.dtype, seed=SEED))
    if not setup.on_gpu:
        import torch

        torch.set_num_threads(1)  # figures of a processor are a trial; the threads are in the record
    return Bench(setup, describe(setup.environment))


def work_on_job(setup: Setup, path: Path) -> None:
    """Do the work of a job file, in the process that the part `kill` starts and kills."""
    from gpu_parts.killed_work import load_job, run_job

    run_job(prepared_bench(setup), load_job(path))


# Where each part is measured. A part's libraries are imported when it is measured: lm-eval alone takes seconds.
_PLACES = {
    Part.RATES: "gpu_parts.rates:measure_rates",
    Part.SCORER: "gpu_parts.scorer:measure_scorer",
    Part.DECODER: "gpu_parts.decoder:measure_decoder",
    Part.EQUAL: "gpu_parts.equality:measure_equality",
    Part.KILL: "gpu_parts.kill:measure_kill",
    Part.VLLM: "gpu_parts.vllm_engine:measure_vllm",
}


def measure_of(part: Part) -> Measure:
    """The function that measures units of a part."""
    found: Measure = pkgutil.resolve_name(_PLACES[part])
    return found
