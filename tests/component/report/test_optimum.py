import json

import pytest
from made_records import made_record

from glu_lib.frontends.cli.entry import main
from glu_lib.report.formats.optimum import benchmark, export_records
from glu_lib.run.experiment import Experiment
from glu_lib.run.session import Session
from glu_lib.study import STUDY
from glu_lib.study.cases import Case
from glu_lib.study.pruning import Pruning

NANO = STUDY.models["nano"]


def test_energy_records_become_benchmark_files(settings, capsys):
    experiment = Experiment(settings)
    case = Case(NANO, Pruning(40), STUDY.workloads["facts_throughput_b8"])
    with experiment.levels.prepared(NANO, Pruning(40)) as prepared:
        record = Session(experiment).measure(case, prepared)
    assert main(["export", str(settings.results_dir)]) == 0
    (path,) = settings.results_dir.glob("optimum_benchmark/*/benchmark.json")
    found = json.loads(path.read_text())
    report = found["report"]["generate"]
    total_j = sum(repeat.energy.total_j for repeat in record.repeats)
    tokens = sum(repeat.new_tokens for repeat in record.repeats)
    assert report["energy"]["total"] == pytest.approx(total_j / 3_600_000)
    assert report["energy"]["gpu"] is None
    assert report["ai_energy_score"]["total"] == pytest.approx(record.profile.energy_per_response_j.mean * 1000 / 3600)
    assert report["ai_energy_score"]["gpu"] is None
    assert report["efficiency"]["value"] == pytest.approx(tokens / (total_j / 3_600_000))
    window_s, passes = record.repeats[0].energy.window_s, record.repeats[0].passes
    assert report["latency"]["values"][0] == pytest.approx(window_s / passes)  # four prompts are one batch of eight
    assert path.parent.name == "nano-p40-facts_throughput_b8-limit4"  # apart from a full run's
    assert found["config"]["scenario"]["prompts_limit"] == 4
    assert report["latency"]["count"] == len(report["latency"]["values"]) == 3
    assert found["report"]["prefill"]["latency"]["unit"] == "s"
    assert found["config"]["scenario"]["generate_kwargs"]["max_new_tokens"] == 50


def test_a_broken_record_is_named_and_left_out(tmp_path, capsys):
    folder = tmp_path / "individual_files/nano/p0"
    folder.mkdir(parents=True)
    (folder / "x.json").write_text("{")
    assert main(["export", str(tmp_path)]) == 1
    assert "left out: " in capsys.readouterr().err


def test_a_case_id_that_is_no_name_makes_no_folder(tmp_path):
    record = made_record({"case": {"id": "../x"}}, "energy")
    paths, (problem,) = export_records([record], tmp_path)
    assert paths == []
    assert "'../x' is not a case id" in problem


def test_the_latency_of_a_generation_is_that_of_one_batch(settings):
    experiment = Experiment(settings)
    case = Case(NANO, Pruning(0), STUDY.workloads["facts_latency_b1"])
    with experiment.levels.prepared(NANO, Pruning(0)) as prepared:
        record = Session(experiment).measure(case, prepared)
    repeat, report = record.repeats[0], benchmark(record)["report"]["generate"]
    one_s = report["latency"]["values"][0]
    assert one_s == pytest.approx(repeat.energy.window_s / repeat.passes / 4)  # four prompts, one at a time
    assert case.subject.new_tokens / one_s == pytest.approx(repeat.tokens_per_s)
