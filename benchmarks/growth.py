"""Measures what the suite's own work costs with the number of cases: seconds and memory of each step, per case.

    python benchmarks/growth.py --output results/measured/growth.json             # 1,000 and 50,000 cases
    python benchmarks/growth.py --cases 100 200 --steps declare plan              # a small test

The cases are those of a made study: models without weights, nine tasks and the architecture at five levels. No model
is loaded. `collect` and `list` have a start of seconds, in which the cost of a thousand cases is lost: they are
measured with ten thousand cases at least, if `--cases` has more. `ratio` is the cost per case with the most cases
divided by that with the fewest; a step that grows faster than the cases has one above 1. A step that takes longer than
`--give-up-s` has no figures but the reason.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from growth_parts.made_study import CASES_PER_MODEL, write_study
from growth_parts.steps import COMMANDS, STEPS
from growth_parts.steps import main as run_step

FEWEST_OF_COMMANDS = 10_000


def main() -> int:
    """Measure all steps with each number of cases; print and save the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, nargs="+", default=[1000, 50_000], help="numbers of cases, ascending")
    parser.add_argument("--steps", nargs="+", choices=list(STEPS), default=list(STEPS), help="steps to measure")
    parser.add_argument("--give-up-s", type=float, default=1200.0, help="most seconds of one step (default 1200)")
    parser.add_argument("--folder", type=Path, help="where studies and records are made (default: a temporary one)")
    parser.add_argument("--output", type=Path, help="JSON file for the figures; steps that it holds already stay")
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)  # a step and its folder, in a process of its own
    options = parser.parse_args()
    if options.step:
        run_step(*options.step)
        return 0
    if uneven := [count for count in options.cases if count % CASES_PER_MODEL]:
        parser.error(f"--cases {uneven[0]}: give a multiple of {CASES_PER_MODEL}, the cases of one model")
    with tempfile.TemporaryDirectory() as made:
        found = measure(options.folder or Path(made), options.cases, options.steps, options.give_up_s, options.output)
    print(json.dumps(found, indent=1))
    return 0


def measure(
    folder: Path, counts: Sequence[int], steps: Sequence[str], give_up_s: float, output: Path | None
) -> dict[str, Any]:
    """The figures of each step by number of cases, saved after each step."""
    known = json.loads(output.read_text(encoding="utf-8")) if output and output.is_file() else {"steps": {}}
    found: dict[str, Any] = known | {"cases": list(counts), "unit": "per case: seconds, bytes"}
    empty = _made(folder, 0)
    for name in steps:
        fixed = _step(name, empty, give_up_s) if name in COMMANDS else {"seconds": 0.0, "bytes": 0}
        measured = counts_of(name, counts)
        figures = {
            str(count): _per_case(_step(name, _made(folder, count), give_up_s), fixed, count) for count in measured
        }
        found["steps"][name] = {"fixed": fixed, **figures, "ratio": _ratios(figures, measured)}
        print(name, json.dumps(found["steps"][name]), file=sys.stderr, flush=True)
        if output:
            output.write_text(f"{json.dumps(found, indent=1)}\n", encoding="utf-8")
    return found


def counts_of(step: str, counts: Sequence[int]) -> list[int]:
    """The numbers of cases that a step is measured with."""
    is_large = step in COMMANDS and max(counts) > FEWEST_OF_COMMANDS
    return sorted({max(count, FEWEST_OF_COMMANDS) if is_large else count for count in counts})


def _made(folder: Path, count: int) -> Path:
    place = folder / str(count)
    if not place.is_dir():
        place.mkdir(parents=True)
        write_study(place, count)
        (place / "results").mkdir()  # `glu list` and pytest need none, but name it
    return place


def _step(name: str, folder: Path, give_up_s: float) -> dict[str, Any]:
    """The figures of one step, in a process of its own."""
    command = [sys.executable, __file__, "--step", name, str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=give_up_s, check=False)
    except subprocess.TimeoutExpired:
        return {"reason": f"not done after {give_up_s:.0f} s"}
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _per_case(found: dict[str, Any], fixed: dict[str, Any], count: int) -> dict[str, Any]:
    if "reason" in found:
        return found
    figures = {name: (found[name] - fixed[name]) / count for name in ("seconds", "bytes")}
    return {f"{name}_per_case": value for name, value in figures.items()} | {"total_seconds": found["seconds"]}


def _ratios(figures: dict[str, dict[str, Any]], counts: Sequence[int]) -> float | None:
    """Seconds per case with the most cases / with the fewest; None without figures."""
    few, many = (figures[str(count)].get("seconds_per_case") for count in (min(counts), max(counts)))
    return many / few if few and many and few > 0 else None


if __name__ == "__main__":
    sys.exit(main())
