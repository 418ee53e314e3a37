"""Processes of the measurement, each with the time it may take; it is asked to end first, then killed."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from glu_lib.errors import one_line
from gpu_parts.setup import ROOT

_PR_SET_PDEATHSIG = 1  # prctl(2)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended: its exit code, whether its time was over, its seconds, and the last line it printed."""

    code: int
    was_stopped: bool
    seconds: float
    last_line: str


def run_until(command: Sequence[str], until_s: float, patience_s: float, log: Path) -> Ended:
    """Run a command in a process group of its own until it ends, or until `until_s` (time.monotonic).

    Args:
        command: the command.
        until_s: when SIGTERM is sent; pytest then finishes the batch at hand and writes its tables.
        patience_s: seconds from SIGTERM to SIGKILL of the whole group.
        log: file for what it prints; appended to.
    """
    start_s = time.monotonic()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
    was_stopped = False
    try:
        process.wait(max(0.0, until_s - start_s))
    except subprocess.TimeoutExpired:
        was_stopped = True
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
    finally:
        # The group too: the part `kill` has processes of its own, which hold memory of the GPU.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
    return Ended(code, was_stopped, time.monotonic() - start_s, last_line(log))


def end_with_parent() -> None:
    """Ask the kernel to send SIGTERM to this process when its parent ends, even by kill -9.

    Otherwise a process that was started here would go on computing, and hold the GPU's memory. Linux only.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of all processes: no network is asked for, the checkout's own library is imported."""
    path = [str(ROOT), *filter(None, [variables.get("PYTHONPATH")])]
    offline = dict.fromkeys(("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"), "1")
    return {**variables, **offline, "PYTHONPATH": os.pathsep.join(path), "TQDM_DISABLE": "1"}


def last_line(log: Path) -> str:
    """The last line of a log that is not blank."""
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return one_line(lines[-1].strip()) if lines else "it printed nothing"
