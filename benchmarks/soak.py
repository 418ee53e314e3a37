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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from glu_lib.errors import RecordError
from glu_lib.nano import MODEL_DIR
from glu_lib.results.record import read_scored
from glu_lib.results.store import Store

ROOT = Path(__file__).resolve().parents[1]
TASKS = ("facts", "sums", "instructions", "lastword", "narrative")
MODELS = ("alder", "birch", "cedar", "dogwood")
# Mostly kill -9; batch systems send SIGTERM, closed terminals SIGHUP.
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)
_SHOWN_LINES = 200
_LATER_S = 0.5  # a signal follows a random record after a random delay up to this


def main() -> int:
    """Run both, compare them, print and save the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--levels", type=int, default=50, help="pruning levels of each of the four models (default 50)")
    parser.add_argument("--kills", type=int, default=30, help="number of signals (default 30)")
    parser.add_argument("--limit", type=int, default=2, help="samples per task (default 2)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments and signals (default 0)")
    parser.add_argument("--give-up-s", type=float, default=3600.0, help="seconds for all of it (default 3600)")
    parser.add_argument("--output", type=Path, help="JSON file for the result")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(Path(folder), options.levels, options.limit, time.monotonic() + options.give_up_s)
        found = soak.compare(options.kills, random.Random(options.seed))
    text = json.dumps(found, indent=1)
    print(text)
    if options.output:
        options.output.write_text(f"{text}\n", encoding="utf-8")
    return 0 if found["equal"] == found["records"] == found["cases"] and not found["left_behind"] else 1


@dataclass(frozen=True, slots=True)
class Soak:
    """The runs of a soak in `folder`; all of them have to end before `end_s` of the monotonic clock."""

    folder: Path
    levels: int
    limit: int
    end_s: float

    def compare(self, kills: int, chance: random.Random) -> dict[str, object]:
        """Run the cases undisturbed and under signals, and return the comparison."""
        (self.folder / "study.toml").write_text(_study(self.levels), encoding="utf-8")
        sent: Counter[str] = Counter()
        peace_s = _seconds(lambda: self._finish("peace"))
        storm_s = _seconds(lambda: self._storm(kills, chance, sent))
        storm, peace = Store(self.folder / "storm"), Store(self.folder / "peace")
        equal = [path for path in peace.record_paths() if _is_equal(peace, storm, path)]
        resumed = [path for path in storm.record_paths() if read_scored(path).resumed]
        return {
            "cases": self._cases,
            "records": len(list(storm.record_paths())),
            "equal": len(equal),
            "resumed_in_the_middle": len(resumed),
            "left_behind": sorted(str(path.relative_to(self.folder)) for path in _left_behind(storm.root)),
            "signals": dict(sent),
            "runs_at_once": 2,
            "seconds_in_peace": round(peace_s, 1),
            "seconds_in_the_storm": round(storm_s, 1),
        }

    @property
    def _cases(self) -> int:
        return len(MODELS) * self.levels * len(TASKS)

    def _storm(self, kills: int, chance: random.Random, sent: Counter[str]) -> None:
        """Keep two runs going, send one of them a signal at random moments, then let one run finish undisturbed."""
        store = Store(self.folder / "storm")
        runs = [self._start("storm", "cache0"), self._start("storm", "cache1")]
        for moment in sorted(chance.sample(range(self._cases - 1), kills)):
            while len(list(store.record_paths())) <= moment:
                for slot, run in enumerate(runs):
                    if run.poll() is not None:
                        runs[slot] = self._start("storm", f"cache{slot}")
                if time.monotonic() > self.end_s:
                    self._give_up("storm", runs, f"record {moment + 1} of {self._cases} was not written")
                time.sleep(0.05)
            time.sleep(chance.uniform(0, _LATER_S))
            if alive := [run for run in runs if run.poll() is None]:
                victim, number = chance.choice(alive), chance.choice(SIGNALS)
                victim.send_signal(number)
                sent[number.name] += 1
                if number is not signal.SIGKILL and chance.random() < 0.5:
                    self._wait("storm", victim)  # otherwise the next run starts while this one is still ending
        for run in runs:
            run.kill()
            run.wait()
        self._finish("storm")

    def _finish(self, results: str) -> None:
        """Run once to the end."""
        run = self._start(results, f"cache-{results}")
        if self._wait(results, run) != 0:
            self._give_up(results, [], f"an undisturbed run exited with {run.returncode}")

    def _wait(self, results: str, run: subprocess.Popen[bytes]) -> int:
        try:
            return run.wait(timeout=max(0.0, self.end_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._give_up(results, [run], "a run did not end")

    def _give_up(self, results: str, runs: Sequence[subprocess.Popen[bytes]], why: str) -> NoReturn:
        """End with the stacks of `runs`, the leases and the last lines of the runs' log."""
        for run in runs:
            run.send_signal(signal.SIGABRT)  # pytest has enabled faulthandler
            run.wait()
        leases = [str(path.relative_to(self.folder)) for path in (self.folder / results).glob("leases/*")]
        lines = (self.folder / f"{results}.log").read_text(encoding="utf-8", errors="replace").splitlines()
        raise SystemExit("\n".join([*lines[-_SHOWN_LINES:], f"leases: {leases}", why]))

    def _start(self, results: str, cache: str) -> subprocess.Popen[bytes]:
        folder = self.folder
        places = [
            f"--results-dir={folder / results}",
            f"--study={folder / 'study.toml'}",
            f"-ocache_dir={folder / cache}",
        ]
        choices = ["-m", "soak", "-k", "not architecture", "-q", "--threads", "1", "--limit", str(self.limit)]
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
