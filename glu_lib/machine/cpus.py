"""Which CPUs this process may use, and how many threads that allows."""

from __future__ import annotations

import os

from glu_lib.errors import SettingsError


def check_threads(threads: int | None, processes: int = 1) -> None:
    """Refuse more threads than CPUs, because the threads would wait for each other.

    Args:
        threads: threads of each process; None means that the best number is measured later.
        processes: number of processes that run at the same time.

    Raises:
        SettingsError: if there are too few CPUs; the message says how many this process may use.
    """
    cpus = usable_cpus()
    if threads is not None and threads * processes > max(cpus, processes):
        many = f"-n {processes} with --threads {threads}" if processes > 1 else f"--threads {threads}"
        raise SettingsError(
            f"{many}: this process may use {cpus} CPU{'s' * (cpus != 1)}; choose at most "
            f"{max(1, cpus // processes)}, or leave it out to have it measured"
        )


def usable_cpus() -> int:
    """Number of CPUs that this process may use. Containers, `taskset` and Slurm can allow fewer than there are."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
