"""A script: a thousand short cases, two runs at once on one folder, killed at random, compared with a run in peace.

    python benchmarks/soak.py                       # a thousand cases, thirty kills: a quarter of an hour on two cores
    python benchmarks/soak.py --levels 3 --kills 4  # a small one

Ends with 0 only if every case has exactly one record, equal to the undisturbed one in scores, samples and kept neurons.
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
from glu_lib.results.record import read_record
from glu_lib.results.store import Store

ROOT = Path(__file__).resolve().parents[1]
TASKS = ("facts", "sums", "instructions", "lastword", "narrative")
MODELS = ("alder", "birch", "cedar", "dogwood")
# kill -9 most of the time; what batch systems and closed terminals send as well.
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)
_LATER_S = 0.5  # a signal comes at a random moment of at most so long after a random record
_GIVE_UP_S = 3600.0


def main() -> int:
    """Run both, compare, print and save what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--levels", type=int, default=50, help="pruning levels of each of the four models (default 50)")
    parser.add_argument("--kills", type=int, default=30, help="signals that are sent (default 30)")
    parser.add_argument("--limit", type=int, default=2, help="samples per task (default 2)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and signals")
    parser.add_argument("--output", type=Path, help="a JSON file for what came out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = soak(Path(folder), options.levels, options.kills, options.limit, random.Random(options.seed))
    text = json.dumps(found, indent=1)
    print(text)
    if options.output:
        options.output.write_text(f"{text}\n", encoding="utf-8")
    return 0 if found["equal"] == found["records"] == found["cases"] and not found["left_behind"] else 1


def soak(folder: Path, levels: int, kills: int, limit: int, chance: random.Random) -> dict[str, object]:
    """Both runs in `folder`; what came out of them."""
    (folder / "study.toml").write_text(_study(levels), encoding="utf-8")
    cases = len(MODELS) * levels * len(TASKS)
    peace_s = _seconds(lambda: _finish(folder, "peace", limit))
    sent: Counter[str] = Counter()
    storm_s = _seconds(lambda: _storm(folder, "storm", cases, kills, limit, chance, sent))
    storm, peace = Store(folder / "storm"), Store(folder / "peace")
    equal = [path for path in peace.record_paths() if _is_equal(peace, storm, path)]
    resumed = [path for path in storm.record_paths() if read_record(path).get("resumed")]
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
    """Keep two runs going and end one of them at random moments, until all is done; then one run in peace."""
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
                victim.wait()  # else the next run begins while this one ends
    for run in runs:
        if run is not None:
            run.kill()
            run.wait()
    _finish(folder, results, limit)


def _finish(folder: Path, results: str, limit: int) -> None:
    """One run to its end."""
    run = _start(folder, results, limit, f"cache-{results}")
    if run.wait() != 0:
        last = (folder / f"{results}.log").read_text(encoding="utf-8").splitlines()[-40:]
        raise SystemExit("\n".join([*last, f"a run in peace ended with {run.returncode}"]))


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
    """The embedded model under several names, at levels of one per cent each, on its own tasks."""
    percents = [0, *range(10, 9 + levels)]  # -k p1 would select p10 as well
    models = "".join(
        f'[models.{name}]\nsource = "{MODEL_DIR}"\nkind = "base"\nlevels = {percents}\nsuites = []\n\n'
        for name in MODELS
    )
    return f"{models}[suites.soak]\ntasks = {json.dumps(TASKS)}\nmodels = {json.dumps(MODELS)}\n"


def _is_equal(peace: Store, storm: Store, path: Path) -> bool:
    """Whether a case's record says the same in both: scores, samples, kept neurons, done key."""
    wanted = read_record(path)
    try:
        found = read_record(storm.root / peace.relative(path))
        samples = storm.read_samples(found)
    except RecordError as error:
        print(error, file=sys.stderr)
        return False
    parts = all(found[part] == wanted[part] for part in ("done_key", "score", "runtime"))
    neurons = found["pruning"]["kept_neurons"] == wanted["pruning"]["kept_neurons"]
    return parts and neurons and samples == peace.read_samples(wanted)


def _left_behind(root: Path) -> list[Path]:
    """Files that a finished folder must not hold: half-written ones, answers without a record."""
    return [*root.rglob(".*.tmp"), *root.rglob("unfinished/**/*.jsonl")]


def _seconds(action: object) -> float:
    start_s = time.monotonic()
    action()  # type: ignore[operator]
    return time.monotonic() - start_s


if __name__ == "__main__":
    sys.exit(main())
