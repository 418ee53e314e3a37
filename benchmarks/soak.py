"""Soak test: two runs on one results folder are killed at random, and their records compared with an undisturbed run.

    python benchmarks/soak.py                       # 1000 cases, 30 kills: about 15 minutes on two cores
    python benchmarks/soak.py --levels 3 --kills 4  # a small test

Exits with 0 only if every case has exactly one record, and its scores, samples and kept neurons equal those of the
undisturbed run.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from glu_lib.errors import RecordError
from glu_lib.nano import MODEL_DIR
from glu_lib.results.record import read_scored
from glu_lib.results.store import Store

ROOT = Path(__file__).resolve().parents[1]
TASKS = ("facts", "sums", "instructions", "lastword", "narrative")
MODELS = ("alder", "birch", "cedar", "dogwood")
# Mostly kill -9; batch systems send SIGTERM, closed terminals SIGHUP.
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)
_LATER_S = 0.5  # a signal follows a random record after a random delay up to this
_GIVE_UP_S = 3600.0


def main() -> int:
    """Run both, compare them, print and save the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--levels", type=int, default=50, help="pruning levels of each of the four models (default 50)")
    parser.add_argument("--kills", type=int, default=30, help="number of signals (default 30)")
    parser.add_argument("--limit", type=int, default=2, help="samples per task (default 2)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments and signals (default 0)")
    parser.add_argument("--output", type=Path, help="JSON file for the result")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = soak(Path(folder), options.levels, options.kills, options.limit, random.Random(options.seed))
    text = json.dumps(found, indent=1)
    print(text)
    if options.output:
        options.output.write_text(f"{text}\n", encoding="utf-8")
    return 0 if found["equal"] == found["records"] == found["cases"] and not found["left_behind"] else 1


def soak(folder: Path, levels: int, kills: int, limit: int, chance: random.Random) -> dict[str, object]:
    """Run both in `folder` and return the comparison."""
    (folder / "study.toml").write_text(_study(levels), encoding="utf-8")
    cases = len(MODELS) * levels * len(TASKS)
    peace_s = _seconds(lambda: _finish(folder, "peace", limit))
    sent: Counter[str] = Counter()
    storm_s = _seconds(lambda: _storm(folder, "storm", cases, kills, limit, chance, sent))
    storm, peace = Store(folder / "storm"), Store(folder / "peace")
    equal = [path for path in peace.record_paths() if _is_equal(peace, storm, path)]
    resumed = [path for path in storm.record_paths() if read_scored(path).resumed]
    return {
        "cases": cases,
        "records": len(list(storm.record_paths())),
        "equal": len(equal),
        "resumed_in_the_middle": len(resumed),
        "left_behind": sorted(str(path.relative_to(folder)) for path in _left_behind(storm.root)),
        "signals": dict(sent),
        "runs_at_once": 2,
        "seconds_in_peace": round(peace_s, 1),
        "seconds_in_the_storm": round(storm_s, 1),
    }


def _storm(
    folder: Path, results: str, cases: int, kills: int, limit: int, chance: random.Random, sent: Counter[str]
) -> None:
    """Keep two runs going, send one of them a signal at random moments, then let one run finish undisturbed."""
    store, end_s = Store(folder / results), time.monotonic() + _GIVE_UP_S
    runs: list[subprocess.Popen[bytes] | None] = [None, None]
    for moment in sorted(chance.sample(range(cases - 1), kills)):
        while True:
            for slot, run in enumerate(runs):
                if run is None or run.poll() is not None:
                    runs[slot] = _start(folder, results, limit, f"cache{slot}")
            if len(list(store.record_paths())) > moment or time.monotonic() > end_s:
                break
            time.sleep(0.05)
        time.sleep(chance.uniform(0, _LATER_S))
        if alive := [run for run in runs if run is not None and run.poll() is None]:
            victim, number = chance.choice(alive), chance.choice(SIGNALS)
            victim.send_signal(number)
            sent[number.name] += 1
            if number is not signal.SIGKILL and chance.random() < 0.5:
                victim.wait()  # otherwise the next run starts while this one is still ending
    for run in runs:
        if run is not None:
            run.kill()
            run.wait()
    _finish(folder, results, limit)


def _finish(folder: Path, results: str, limit: int) -> None:
    """Run once to the end."""
    run = _start(folder, results, limit, f"cache-{results}")
    if run.wait() != 0:
        last = (folder / f"{results}.log").read_text(encoding="utf-8").splitlines()[-40:]
        raise SystemExit("\n".join([*last, f"an undisturbed run exited with {run.returncode}"]))


def _start(folder: Path, results: str, limit: int, cache: str) -> subprocess.Popen[bytes]:
    places = [f"--results-dir={folder / results}", f"--study={folder / 'study.toml'}", f"-ocache_dir={folder / cache}"]
    choices = ["-m", "soak", "-q", "--threads", "1", "--limit", str(limit)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with (folder / f"{results}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", *choices, *places],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def _study(levels: int) -> str:
    """A study file with the embedded model under several names, levels in steps of one per cent, and its tasks."""
    percents = [0, *range(10, 9 + levels)]  # -k p1 would select p10 as well
    models = "".join(
        f'[models.{name}]\nsource = "{MODEL_DIR}"\nkind = "base"\nlevels = {percents}\nsuites = []\n\n'
        for name in MODELS
    )
    return f"{models}[suites.soak]\ntasks = {json.dumps(TASKS)}\nmodels = {json.dumps(MODELS)}\n"


def _is_equal(peace: Store, storm: Store, path: Path) -> bool:
    """Whether a case has equal scores, samples, kept neurons and done key in both runs."""
    wanted = read_scored(path)
    try:
        found = read_scored(storm.root / peace.relative(path))
        samples = storm.read_samples(found.samples)
    except RecordError as error:
        print(error, file=sys.stderr)
        return False
    parts = (found.done_key, found.score, found.runtime) == (wanted.done_key, wanted.score, wanted.runtime)
    neurons = found.pruning.kept_neurons == wanted.pruning.kept_neurons
    return parts and neurons and samples == peace.read_samples(wanted.samples)


def _left_behind(root: Path) -> list[Path]:
    """Files that a finished folder must not contain: temporary files, and journals of unfinished cases."""
    return [*root.rglob(".*.tmp"), *root.rglob("unfinished/**/*.jsonl")]


def _seconds(action: object) -> float:
    start_s = time.monotonic()
    action()  # type: ignore[operator]
    return time.monotonic() - start_s


if __name__ == "__main__":
    sys.exit(main())
