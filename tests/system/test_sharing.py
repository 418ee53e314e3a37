"""Many processes on one results folder, as the tasks of a Slurm array: each (model, level) is loaded by one of them."""

import json
import re
import shutil
import sys

from glu_lib.nano import MODEL_DIR

PROCESSES, MODELS, LEVELS, TASKS = 8, 4, (0, 10, 20, 30, 40, 50, 60), ("facts", "sums")
RUN = ("--study=study.toml", "--limit", "4", "--threads", "1", "-m", "few", "-k", "tiny")


def test_eight_processes_load_each_level_once_and_measure_each_case_once(suite):
    study = [f"[suites]\nfew = {list(TASKS)}\n"]
    for number in range(MODELS):
        shutil.copytree(MODEL_DIR, suite.path / f"model{number}")
        study.append(
            f'[models.tiny{number}]\nsource = "model{number}"\nkind = "base"\nlevels = {list(LEVELS)}\nsuites = ["few"]'
        )
    (suite.path / "study.toml").write_text("\n".join(study))
    command = [sys.executable, "-m", "pytest", *RUN]
    runs = [
        suite.popen(
            [*command, "--results-dir", "shared", "-o", f"cache_dir=cache{task}"],
            env={"SLURM_ARRAY_TASK_ID": str(task), "SLURM_ARRAY_TASK_COUNT": str(PROCESSES)},
        )
        for task in range(PROCESSES)
    ]
    outputs = [run.communicate(timeout=400)[0] for run in runs]
    assert [run.returncode for run in runs] == [0] * PROCESSES, outputs
    measured = [int(found[1]) if (found := re.search(r"(\d+) passed", output)) else 0 for output in outputs]
    assert sum(measured) == MODELS * len(LEVELS) * (len(TASKS) + 1)  # none twice; with the architecture
    assert max(measured) < sum(measured) / 2  # the work was divided

    alone = suite.popen([*command, "--results-dir", "serial"])
    assert alone.communicate(timeout=400)[0]
    shared, serial = scored(suite.path / "shared"), scored(suite.path / "serial")
    assert {case: (record["score"], record["pruning"]["kept_neurons"]) for case, record in shared.items()} == {
        case: (record["score"], record["pruning"]["kept_neurons"]) for case, record in serial.items()
    }
    loads: dict[str, set[float]] = {}
    for record in shared.values():
        loads.setdefault(f"{record['case']['model']}-{record['case']['level']}", set()).add(record["timing"]["load_s"])
    assert {level: len(seconds) for level, seconds in loads.items() if len(seconds) > 1} == {}
    assert len(loads) == MODELS * len(LEVELS)
    assert not list((suite.path / "shared/leases").glob("*"))


def scored(folder):
    found = [json.loads(path.read_text()) for path in folder.glob("individual_files/*/*/*.json")]
    return {record["case"]["id"]: record for record in found if record["kind"] == "accuracy"}
