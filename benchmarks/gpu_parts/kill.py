"""kill -9 in the middle of MMLU-shaped work: the same scores after resuming, and how much was computed twice."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from glu_lib.errors import MeasurementError, one_line
from glu_lib.results.folder import ResultsFolder
from glu_lib.results.unfinished import FLUSH_S
from gpu_parts.bench import Bench
from gpu_parts.killed_work import Job
from gpu_parts.plan import Unit
from gpu_parts.processes import end_with_parent
from gpu_parts.setup import ROOT, SCRIPT

_LEAST_S = 3 * FLUSH_S  # of the undisturbed scoring, so that there is a middle
_DOCUMENTS = 100  # per subject, at first
_TINY_DOCUMENTS = 20
_MOST_DOCUMENTS = 984  # four times those of MMLU, for GPUs that are done with MMLU before there is a middle
_GIVE_UP_S = 300.0
_POLL_S = 0.05


def measure_kill(bench: Bench, unit: Unit) -> dict[str, Any]:
    """The undisturbed work, then the same work killed and resumed; tokens and seconds of each.

    `repeated_tokens` are those that the killed and the resumed process forwarded beyond the undisturbed one.

    Raises:
        MeasurementError: if the work ended before it could be killed, or a process failed.
    """
    assert unit.model is not None
    bench.release()  # this process holds no model while others measure
    with tempfile.TemporaryDirectory() as name:
        ResultsFolder(Path(name)).check_writable()
        documents = _TINY_DOCUMENTS if bench.setup.is_tiny else _DOCUMENTS
        whole_job, whole = _long_enough(bench, Job(name, "whole", unit.model, documents, "whole.jsonl"))
        killed_job = replace(whole_job, name="killed", journal="shared.jsonl")
        killed_after_s = _kill_after(bench, killed_job, whole["scoring_s"] / 2)
        resumed = _finish(bench, replace(killed_job, name="resumed"))
        return comparison(whole, killed_job.forwarded_tokens(), killed_after_s, resumed) | {
            "dtype": str(bench.dtype),
            "documents": whole_job.shape.families * whole_job.documents,
            "flush_s": FLUSH_S,
        }


def comparison(
    whole: dict[str, Any], killed_tokens: int, killed_after_s: float, resumed: dict[str, Any]
) -> dict[str, Any]:
    """The undisturbed run beside the killed and resumed one.

    Args:
        whole: result of the undisturbed process.
        killed_tokens: tokens that the killed process forwarded.
        killed_after_s: seconds from the start of the killed process's work to the kill.
        resumed: result of the process that resumed.
    """
    repeated = killed_tokens + resumed["forwarded"] - whole["forwarded"]
    pairs = list(zip(whole["scores"], resumed["scores"], strict=True))
    return {
        "requests": len(whole["scores"]),
        "whole_s": whole["seconds"],
        "killed_after_s": killed_after_s,
        "kept_answers": resumed["kept"],
        "resumed_s": resumed["seconds"],
        "forwarded_tokens": {"whole": whole["forwarded"], "killed": killed_tokens, "resumed": resumed["forwarded"]},
        "repeated_tokens": repeated,
        "repeated_share": repeated / whole["forwarded"],
        "equal_scores": sum(one == other for one, other in pairs),
        "largest_difference": max(abs(one[0] - other[0]) for one, other in pairs),
    }


def _long_enough(bench: Bench, job: Job) -> tuple[Job, dict[str, Any]]:
    """The undisturbed work with enough documents to be killed in the middle."""
    while True:
        found = _finish(bench, job)
        if found["scoring_s"] >= _LEAST_S or job.documents == _MOST_DOCUMENTS:
            return job, found
        more = math.ceil(1.25 * job.documents * _LEAST_S / found["scoring_s"])
        job = replace(job, documents=min(_MOST_DOCUMENTS, more), name="longer", journal="longer.jsonl")
        (Path(job.folder) / job.journal).unlink(missing_ok=True)


def _kill_after(bench: Bench, job: Job, seconds: float) -> float:
    """Kill the job's process so many seconds after its first forward pass, once its journal holds answers.

    Returns the seconds from the first forward pass to the kill.
    """
    process = _start(bench, job)
    try:
        give_up_s, begun_s = time.monotonic() + _GIVE_UP_S, math.inf
        while time.monotonic() - begun_s < seconds or not job.kept():
            if process.poll() is not None or time.monotonic() > give_up_s:
                raise MeasurementError(
                    f"the work of {job.requests} requests was over before it could be killed in the middle"
                )
            if begun_s == math.inf and job.path("tokens").exists() and job.forwarded_tokens():
                begun_s = time.monotonic()
            time.sleep(_POLL_S)
    finally:
        process.kill()  # SIGKILL
        process.wait()
    return time.monotonic() - begun_s


def _finish(bench: Bench, job: Job) -> dict[str, Any]:
    process = _start(bench, job)
    try:
        code = process.wait(_GIVE_UP_S)
    finally:
        process.kill()
        process.wait()
    if code:
        last = job.path("log").read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        raise MeasurementError(f"the process {job.name} ended with {code}: {one_line(''.join(last))}")
    found: dict[str, Any] = json.loads(job.path("result.json").read_text(encoding="utf-8"))
    return found


def _start(bench: Bench, job: Job) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(SCRIPT), *bench.setup.arguments(), "--job", str(job.save())]
    with job.path("log").open("wb") as log:
        return subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=end_with_parent,
        )
