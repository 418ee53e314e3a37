import json
from pathlib import Path

import pytest
from gpu_parts import suites
from gpu_parts.plan import Part, Unit
from gpu_parts.processes import environment, last_line
from gpu_parts.setup import ROOT

from glu_lib.study import STUDY, load_study

ENERGY, ALIGNMENT = Unit(Part.ENERGY, "llama1b"), Unit(Part.ALIGNMENT, "llama3b")


def test_a_suite_is_a_run_of_pytest_with_random_weights(make_setup):
    setup = make_setup()
    command = suites.command(setup, ENERGY)
    assert command[1:7] == ["-m", "pytest", "-q", "-m", "carbon", "-k"]
    assert command[7] == "llama1b and (p0 or p40)"
    assert {"--weights=random", "--device=cuda", "--dtype=bfloat16", "--allow-shared"} <= set(command)
    assert f"--results-dir={setup.output / 'energy'}" in command
    assert not [word for word in command if word.startswith(("--threads", "--study"))]
    assert "alignment" in suites.command(setup, ALIGNMENT)


def test_a_trial_has_tiny_models_and_all_workloads_of_both_suites(make_setup):
    command = suites.command(make_setup(gpu=None, is_tiny=True), ENERGY)
    assert "--threads=1" in command
    (path,) = [word.removeprefix("--study=") for word in command if word.startswith("--study=")]
    study = load_study(Path(path), STUDY).study
    for key in ("llama1b", "llama3b"):
        assert study.models[key].architecture.parameters() < 2_000_000
        assert study.models[key].levels == (0, 40, 60)
    for suite in ("carbon", "alignment"):
        assert all(study.workloads[name].new_tokens <= 4 for name in study.suites[suite].workloads)
        assert "llama1b" in study.suites[suite].models


@pytest.fixture
def setup(make_setup):
    found = make_setup()
    place = found.output / "energy/random_weights/individual_files"
    for model, level, source, exclusive in (
        ("llama1b", "p0", "nvml", True),
        ("llama1b", "p40", "nvml", False),
        ("llama3b", "p0", None, True),
    ):
        repeat = {"energy": {"gpu": {"source": source}}, "conditions": {"exclusive": exclusive}}
        path = place / model / level / "case.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"case": {"model": model}, "repeats": [repeat]}))
    return found


def test_a_finished_suite_says_where_its_records_are_and_what_measured_them(setup):
    assert suites.measured(setup, ENERGY) == {
        "records": "energy/random_weights",
        "cases": 2,
        "gpu_energy_sources": ["nvml"],
        "exclusive": 1,
    }
    assert suites.measured(setup, Unit(Part.ENERGY, "llama3b"))["gpu_energy_sources"] == ["not measured"]


def test_no_process_asks_a_network_and_all_import_this_checkout():
    found = environment({"PYTHONPATH": "/elsewhere", "HOME": "/home"})
    assert found["PYTHONPATH"] == f"{ROOT}:/elsewhere"
    assert found["HF_HUB_OFFLINE"] == found["TRANSFORMERS_OFFLINE"] == "1"
    assert found["HOME"] == "/home"
    assert environment({})["PYTHONPATH"] == str(ROOT)


@pytest.mark.parametrize(("text", "line"), [("a\nlast \n\n", "last"), ("\n", "it printed nothing")])
def test_the_last_line_of_a_log(tmp_path, text, line):
    (tmp_path / "log").write_text(text)
    assert last_line(tmp_path / "log") == line
