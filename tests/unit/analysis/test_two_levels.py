"""`glu difference`: any two levels beside each other, on the same items."""

import shutil

import pytest
from committed import MEASURED, concluded

from glu_lib.analysis import consolidate
from glu_lib.analysis.significance import holm
from glu_lib.analysis.two_levels import two_levels, without_counterpart
from glu_lib.errors import RecordError
from glu_lib.frontends.cli.entry import main
from glu_lib.results.address import RecordId
from glu_lib.results.record import read_scored
from glu_lib.results.store import Store
from glu_lib.study import STUDY
from glu_lib.study.cases import Case
from glu_lib.study.pruning import Pruning

LAYERS = MEASURED / "layers_smollm2"


def compared(folder, first, second, **options):
    found = two_levels(consolidate(folder).rows, Store(folder), first, second, **options)
    return {item.task: item for item in found}


def test_beside_its_own_baseline_a_level_has_the_change_of_the_tables():
    found = compared(MEASURED / "nano", "nano-p40", "nano-p0")
    rows = [row for row in concluded("nano").rows if row["case"].startswith("nano-p40-") and row.get("p") is not None]
    assert {row["subject"] for row in rows if row["limit"] is None} == set(found)
    for row in rows:
        item = found[row["subject"]]
        assert (item.delta, item.delta_low, item.delta_high) == (row["delta"], row["delta_low"], row["delta_high"])
        assert (item.p, item.test, item.pairs) == (row["p"], row["test"], row["pairs"])
        assert item.p_holm <= row["p_holm"]  # seven comparisons here, all levels there


def test_two_layer_sets_of_one_level():
    found = compared(LAYERS, "smollm-p10-layers1uponly", "smollm-p10")
    assert found["lambada_openai"].is_better
    assert found["lambada_openai"].is_significant
    assert [item.p_holm for item in found.values()] == holm([item.p for item in found.values()])
    other = compared(LAYERS, "smollm-p10", "smollm-p10-layers1uponly")
    assert [item.delta for item in other.values()] == [-item.delta for item in found.values()]


def test_the_correction_is_over_the_chosen_tasks():
    (found,) = compared(LAYERS, "smollm-p10-random1", "smollm-p10", tasks=["piqa"]).values()
    assert found.p_holm == found.p < 0.001


def test_another_dtype_is_not_compared(tmp_path):
    shutil.copytree(LAYERS, tmp_path / "records")
    rows = [dict(row) for row in consolidate(tmp_path / "records").rows]
    for row in rows:
        if row["case"].startswith("smollm-p10-L2"):
            row["measured_as"] = {**row["measured_as"], "dtype": "float16"}
    for item in two_levels(rows, Store(tmp_path / "records"), "smollm-p10-L2", "smollm-p10"):
        assert item.reason == f"smollm-p10-L2-{item.task}: dtype is not that of smollm-p10-{item.task}; run both again"
        assert item.p_holm is item.p is item.delta is None


@pytest.mark.parametrize(
    ("first", "second", "tasks", "said"),
    [
        ("smollm-p10", "smollm-p11", (), r"'smollm-p11': no scores of this level \(did you mean smollm-p10\?\)"),
        ("smollm-p10", "smollm-p10", (), "one level twice; name two levels"),
        (
            "smollm-p10",
            "smollm-p20",
            ["piq"],
            r"--task 'piq': .* \(did you mean --task piqa\?\); both have arc_easy, ",
        ),
        ("smollm-p10-piqa", "smollm-p20", (), r"\(did you mean smollm-p10 with --task piqa\?\)"),
        ("SMOLLM-p10", "smollm-p20", (), r"\(did you mean smollm-p10\?\)"),
    ],
)
def test_wrong_names_are_refused(first, second, tasks, said):
    with pytest.raises(RecordError, match=said):
        compared(LAYERS, first, second, tasks=tasks)


def test_levels_without_a_common_task_are_refused():
    rows = [row for row in consolidate(LAYERS).rows if row["case"] != "smollm-p20-piqa"]
    rows = [row for row in rows if not row["case"].startswith("smollm-p10-") or row["case"] == "smollm-p10-piqa"]
    with pytest.raises(RecordError, match="no task with the same limit in common"):
        two_levels(rows, Store(LAYERS), "smollm-p10", "smollm-p20")


def test_the_command_prints_scores_interval_and_verdict(capsys):
    assert main(["difference", "smollm-p10-random1", "smollm-p10", str(LAYERS), "--task", "piqa"]) == 0
    caption, columns, row = capsys.readouterr().out.splitlines()
    assert caption.startswith("smollm-p10-random1 beside smollm-p10, same items.")
    assert columns.split() == [
        "task", "metric", "items", "smollm-p10-random1", "smollm-p10", "difference", "from", "to", "p", "verdict",
    ]  # fmt: skip
    assert row.split()[-7:] == ["0.670", "0.490", "0.18", "0.08073", "0.2722", "0.0005335", "better"]


def test_a_folder_without_records_is_one_line(tmp_path, capsys):
    assert main(["difference", "a-p0", "a-p40", str(tmp_path)]) == 2
    assert (
        capsys.readouterr()
        .err.strip()
        .endswith("the folder holds no scores of tasks; name the results folder of a run")
    )
    assert main(["difference", "a-p0", str(tmp_path)]) == 2
    assert "is a folder: name two levels, then the folder" in capsys.readouterr().err


def test_unreadable_records_are_named_also_where_nothing_can_be_compared(tmp_path, capsys):
    shutil.copytree(LAYERS, tmp_path / "records")
    for path in (tmp_path / "records/individual_files/smollm/p10").iterdir():
        path.write_text("{")
    assert main(["difference", "smollm-p10", "smollm-p20", str(tmp_path / "records")]) == 2
    *left_out, last = capsys.readouterr().err.splitlines()
    assert len(left_out) == 4
    assert all(line.startswith("left out: ") for line in left_out)
    assert "'smollm-p10': no scores of this level" in last


def test_tasks_of_one_level_only_are_named(capsys):
    rows = [row for row in consolidate(LAYERS).rows if row["case"] != "smollm-p20-piqa"]
    assert without_counterpart(rows, "smollm-p10", "smollm-p20") == [
        "not compared: piqa of smollm-p10 with only 100 samples per task, which smollm-p20 has not"
    ]
    assert main(["difference", "smollm-p10", "smollm-p20", str(LAYERS)]) == 0
    assert "not compared" not in capsys.readouterr().out


def test_too_few_items_show_the_plain_difference():
    found = compared(MEASURED / "smollm2_135m_instruct", "smolq4-p40", "smolq4-p0", tasks=["wikitext"])["wikitext"]
    assert found.delta == found.value - found.other_value
    assert found.p_holm is found.p is None
    assert "6 items; a bootstrap needs 20" in found.reason


def test_levels_with_other_documents_have_no_difference(tmp_path):
    for folder, ending in (("individual_files", "json"), ("samples", "jsonl.gz")):
        for level in ("p10", "p40"):
            (tmp_path / folder / "nano" / level).mkdir(parents=True)
            name = f"{folder}/nano/{level}/nano-{level}-facts.{ending}"
            shutil.copy(MEASURED / "nano" / name, tmp_path / name)
    store, case = Store(tmp_path), Case(STUDY.models["nano"], Pruning(10), STUDY.tasks["facts"])
    record = read_scored(store.record_path(RecordId(case)))
    samples = store.read_samples(record.samples)
    samples[3]["doc_hash"] = "another"
    store.write(RecordId(case), record.as_json(), samples)
    found = compared(tmp_path, "nano-p40", "nano-p10")["facts"]
    assert "1 documents differ" in found.reason
    assert found.delta is found.p is None


def test_a_checkpoint_stands_beside_its_baseline_in_token_perplexities_too():
    rows = [dict(row) for row in consolidate(MEASURED / "smollm2_135m_instruct").rows]
    for row in rows:
        if row["case"] == "smolq4-p5-wikitext2_2048":
            row |= {"case": "again-p0-wikitext2_2048", "model": "again", "baseline_model": "smolq4"}
    store = Store(MEASURED / "smollm2_135m_instruct")
    (found,) = two_levels(rows, store, "again-p0", "smolq4-p0", tasks=["wikitext2_2048"])
    assert found.reason == ""
    assert found.is_significant
