import json

import pytest

from glu_lib.cases import Case, Pruning
from glu_lib.cli import main
from glu_lib.experiment import Experiment
from glu_lib.study import STUDY

NANO = STUDY.models["nano"]


def test_energy_records_become_benchmark_files(settings, capsys):
    experiment = Experiment(settings)
    case = Case(NANO, Pruning(40), STUDY.workloads["facts_throughput_b8"])
    with experiment.prepared(NANO, Pruning(40)) as prepared:
        record = experiment.run(case, prepared)
    assert main(["export", str(settings.results_dir)]) == 0
    (path,) = settings.results_dir.glob("optimum_benchmark/*/benchmark.json")
    found = json.loads(path.read_text())
    report = found["report"]["generate"]
    total_j = sum(repeat["energy"]["total_j"] for repeat in record["repeats"])
    tokens = sum(repeat["new_tokens"] for repeat in record["repeats"])
    assert report["energy"]["total"] == pytest.approx(total_j / 3_600_000)
    assert report["energy"]["gpu"] is None
    assert report["efficiency"]["value"] == pytest.approx(tokens / (total_j / 3_600_000))
    assert report["latency"]["count"] == len(report["latency"]["values"]) == 3
    assert found["report"]["prefill"]["latency"]["unit"] == "s"
    assert found["config"]["scenario"]["generate_kwargs"]["max_new_tokens"] == 50


def test_a_broken_record_is_named_and_left_out(tmp_path, capsys):
    folder = tmp_path / "individual_files/nano/p0"
    folder.mkdir(parents=True)
    (folder / "x.json").write_text("{")
    assert main(["export", str(tmp_path)]) == 1
    assert "left out: " in capsys.readouterr().err
