"""Where the time of a cold start goes: runs pytest with the given arguments, and prints seconds by part.

    python benchmarks/cold_start.py -k "llama1b and p0 and piqa" --limit 4

A second thread looks at the stack of the first one a hundred times a second. The time between two looks belongs to the
innermost function of PARTS on the stack. Processor time says more than elapsed time while other processes are busy.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from types import FrameType

import pytest

EVERY_S = 0.01
Seconds = defaultdict[str, float]  # by part
REST = "pytest and the rest"
# Part of a run, by function: the end of its file's path, and its name (None: any).
PARTS: dict[tuple[str, str | None], str] = {
    ("importlib._bootstrap>", None): "imports",
    ("/assertion/rewrite.py", None): "imports",
    ("/models/identity.py", "folder_digest"): "hash of the weights",
    ("/lm_eval/tasks/_index.py", "build"): "lm-eval's index of tasks",
    ("/tasks/task_index.py", None): "lm-eval's index of tasks",
    ("/machine/threads.py", "choose_threads"): "number of threads",
    ("/models/loading.py", "load_model"): "loading the weights",
    ("/models/cut.py", None): "pruning",
    ("/scoring/prefix_sharing.py", "_check"): "check of the scorer",
    ("/tasks/task_library.py", "load"): "data of the task",
    ("/scoring/language_model.py", "_score"): "scoring",
    ("/scoring/language_model.py", "_generate_group"): "scoring",
    ("/accuracy/evaluate.py", "evaluate_task"): "requests and metrics",
    ("/pytest_plugin/collection.py", None): "cases",
    ("/pytest_plugin/summary.py", None): "tables and page",
}


def part_of(frame: FrameType | None) -> str:
    """The part that the innermost known function on a stack belongs to."""
    while frame is not None:
        file, function = frame.f_code.co_filename, frame.f_code.co_name
        for (path, name), part in PARTS.items():
            if file.endswith(path) and name in (None, function):
                return part
        frame = frame.f_back
    return REST


def watch(thread: int, elapsed_s: Seconds, processor_s: Seconds, ended: threading.Event) -> None:
    """Add the time between two looks at the stack of `thread` to the part that it is in, until `ended`."""
    last_s, last_cpu_s = time.perf_counter(), time.process_time()
    while not ended.wait(EVERY_S):
        part = part_of(sys._current_frames().get(thread))
        now_s, now_cpu_s = time.perf_counter(), time.process_time()
        elapsed_s[part] += now_s - last_s
        processor_s[part] += now_cpu_s - last_cpu_s
        last_s, last_cpu_s = now_s, now_cpu_s


def main() -> int:
    """Run pytest in this process, and print a table of its time."""
    elapsed_s: Seconds = defaultdict(float)
    processor_s: Seconds = defaultdict(float)
    ended = threading.Event()
    watcher = threading.Thread(target=watch, args=(threading.get_ident(), elapsed_s, processor_s, ended), daemon=True)
    watcher.start()
    status = pytest.main(sys.argv[1:])
    ended.set()
    watcher.join()
    print("\n| part | elapsed | processor |\n|---|---|---|")
    for part in sorted(elapsed_s, key=lambda part: -elapsed_s[part]):
        print(f"| {part} | {elapsed_s[part]:.1f} s | {processor_s[part]:.1f} s |")
    print(f"| all | {sum(elapsed_s.values()):.1f} s | {sum(processor_s.values()):.1f} s |")
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
