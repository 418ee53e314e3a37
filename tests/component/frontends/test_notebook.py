import pytest
import torch

import glu_lib
from glu_lib import GluError, consolidate_results, run_carbon_analysis, run_evaluation, setup_environment
from glu_lib.errors import MeasurementError, StudyError


def test_a_notebook_runs_a_suite_and_finds_it_done_the_next_time(settings, monkeypatch):
    records = run_evaluation("nano", "embedded", levels=[0, 60], settings=settings)
    assert [record["case"]["id"] for record in records][:2] == ["nano-p0-facts", "nano-p0-sums"]
    assert len(records) == 14
    monkeypatch.setattr("glu_lib.run.loader.load_model", None)
    assert run_evaluation("nano", "embedded", levels=[0, 60], settings=settings) == records
    table = consolidate_results(settings.results_dir)
    assert set(table[table.is_headline].case) == {record["case"]["id"] for record in records}
    assert (settings.results_dir / "results.csv").exists()


def test_a_notebook_asks_for_a_ratio_and_a_size(settings):
    records = run_evaluation("nano", "embedded", levels=["2x", "0.74M"], settings=settings)
    found = {record["case"]["level"]: record["pruning"] for record in records}
    assert {level: pruning["width"] for level, pruning in found.items()} == {"r2x": 256, "n0.74m": 307}
    assert found["n0.74m"]["parameters"] == 739_968
    with pytest.raises(StudyError, match="^model nano, level r4x: it has 4x unpruned, which is p0; ask for less$"):
        run_evaluation("nano", "embedded", levels=["4x"], settings=settings)


def test_a_notebook_measures_energy(settings):
    (record,) = run_carbon_analysis("nano", "facts_latency_b1", levels=[60], settings=settings)
    assert record["kind"] == "energy"
    assert record["profile"]["energy_per_token_j"]["mean"] > 0


def test_a_case_that_fails_takes_no_other_down_in_a_notebook(settings, monkeypatch):
    from glu_lib.measure.accuracy.score_case import score_case

    def refuse_sums(task, *args, **options):
        if task.key == "sums":
            raise MeasurementError("incomplete")
        return score_case(task, *args, **options)

    monkeypatch.setattr("glu_lib.run.accuracy_case.score_case", refuse_sums)
    with pytest.raises(MeasurementError, match="nano-p0-sums: incomplete .1 more cases failed; call again to try them"):
        run_evaluation("nano", "embedded", levels=[0, 60], settings=settings)
    assert len(list(settings.results_dir.glob("individual_files/*/*/*.json"))) == 12
    assert not list(settings.results_dir.glob("leases/*"))


def test_a_broken_record_is_a_warning_in_a_notebook(tmp_path):
    folder = tmp_path / "individual_files/nano/p0"
    folder.mkdir(parents=True)
    (folder / "x.json").write_text("{")
    with pytest.warns(UserWarning, match="not a readable record"):
        assert consolidate_results(tmp_path).empty


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: run_evaluation("llama7b", "paper"), "model 'llama7b' is not in the study; choose one of nano"),
        (
            lambda: run_evaluation("nano", "everything"),
            "suite 'everything' is not in the study; choose one of embedded",
        ),
        (lambda: run_evaluation("nano", "paper"), "suite 'paper' has no tasks for model 'nano'"),
        (
            lambda: run_evaluation("nano", "embedded", levels=[45]),
            "level 45 is not declared for model 'nano'; choose from 0, 10",
        ),
        (lambda: run_evaluation("nano", "embedded", levels=40), "levels 40: must be a list of pruning percentages"),
        (lambda: run_evaluation("nano", "embedded", levels=[]), "levels .*: must be a list of pruning percentages"),
        (lambda: run_carbon_analysis("nano", "x"), "workload 'x' is not in the study"),
        (lambda: run_carbon_analysis("llama1b", "facts_latency_b1"), "is not for model 'llama1b'"),
    ],
)
def test_wrong_names_get_one_line(call, message):
    with pytest.raises(StudyError, match=message):
        call()


def test_the_public_names_are_these():
    assert sorted(glu_lib.__all__) == [
        "BENCHMARKS_BASE",
        "BENCHMARKS_CARBON",
        "BENCHMARKS_INSTRUCT",
        "EXPERIMENT_CONFIG",
        "GluError",
        "Settings",
        "__version__",
        "consolidate_results",
        "run_carbon_analysis",
        "run_evaluation",
        "setup_environment",
    ]
    assert setup_environment().dtype


def test_a_gpu_that_fails_for_good_is_one_line_in_a_notebook_too(settings, monkeypatch):
    """It fails while the second level is loaded; after that each call fails, that which empties the cache as well."""
    load, loaded = glu_lib.run.loader.load_model, []

    def fail(*_args):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "empty_cache", fail)
        raise torch.AcceleratorError("CUDA error: unspecified launch failure\nCUDA kernel errors might be asynchronous")

    def load_once(*args):
        loaded.append(args)
        return load(*args) if len(loaded) == 1 else fail()

    monkeypatch.setattr("glu_lib.run.loader.load_model", load_once)
    with pytest.raises(GluError, match=r"^the GPU failed \(CUDA error: unspecified launch failure\) and .*$"):
        run_evaluation("nano", "embedded", levels=[0, 60], settings=settings)
    assert len(list(settings.results_dir.glob("individual_files/nano/p0/*.json"))) == 7
    assert not list(settings.results_dir.glob("leases/*"))
    monkeypatch.undo()
    assert len(run_evaluation("nano", "embedded", levels=[0, 60], settings=settings)) == 14
