"""What a cluster costs per (model, level) group: the same cases in one process and on a cluster of one worker.

    python benchmarks/cluster_overhead.py [--levels N] [--output FILE]

Starts a Ray cluster on this machine: a head without CPUs and one node with one CPU. Needs the extra `cluster`. Each run
is a process of its own, on a fresh results folder. Prints seconds of both runs with one level and with all levels; the
difference of differences is what a group costs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_LEVELS = ("p0", "p10", "p20", "p30", "p40", "p50", "p60")
_MEMORY_BYTES = 80 << 20


def main() -> None:
    """Start the cluster, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--levels", type=int, default=len(_LEVELS), help="levels of the longer run")
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    options = parser.parse_args()
    levels = options.levels
    # Ray's own processes are slow to start on busy cores.
    os.environ.update({"RAY_USAGE_STATS_ENABLED": "0", "RAY_agent_register_timeout_ms": "120000"})
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": _MEMORY_BYTES}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        cluster.add_node(num_cpus=1, object_store_memory=_MEMORY_BYTES)
        here = [seconds(count, ()) for count in (1, levels)]
        there = [seconds(count, (f"--cluster={cluster.address}",)) for count in (1, levels)]
    finally:
        cluster.shutdown()
    for name, found in (("one process", here), ("cluster, one worker", there)):
        print(f"{name}: {found[0]:.1f} s for 1 level, {found[1]:.1f} s for {levels} levels")
    per_group_s = ((there[1] - there[0]) - (here[1] - here[0])) / (levels - 1)
    per_run_s = there[0] - here[0]
    print(f"a group costs {per_group_s:.2f} s more on the cluster, the run {per_run_s:.1f} s more")
    if options.output:
        parts = {"one_process_s": here, "cluster_s": there, "per_run_s": per_run_s, "per_group_s": per_group_s}
        result = {"levels": [1, levels], **parts}
        options.output.write_text(json.dumps(result, indent=1) + "\n")


def seconds(levels: int, options: tuple[str, ...]) -> float:
    """Seconds of a run of two tasks at so many levels of nano."""
    chosen = f"nano and ({' or '.join(_LEVELS[:levels])}) and (facts or truth)"
    with tempfile.TemporaryDirectory() as folder:
        words = ("-k", chosen, "--limit", "8", "--threads", "1", f"--results-dir={folder}/r", "-p", "no:cacheprovider")
        start_s = time.perf_counter()
        subprocess.run([sys.executable, "-m", "pytest", "-q", *words, *options], cwd=ROOT, check=True)
        return time.perf_counter() - start_s


if __name__ == "__main__":
    main()
