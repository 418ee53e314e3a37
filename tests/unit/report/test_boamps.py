import jsonschema
import pytest
from exported_formats import BOAMPS
from made_records import made_record

from glu_lib.errors import RecordError
from glu_lib.report.formats.boamps import boamps_report, export_boamps

UNKNOWN = {"energy_j": None, "source": None, "quality": None, "reason": "none"}


@pytest.mark.parametrize("organization", [None, "me"])
def test_a_report_has_the_fields_of_the_format_and_no_others(organization):
    from codecarbon.output_methods.boamps import BoAmpsReport

    found = boamps_report(made_record({}, "energy"), organization)
    jsonschema.validate(found, BOAMPS)
    assert BoAmpsReport.from_dict(found).to_dict() == found
    assert ("publisher" in found["header"]) == (organization is not None)


def test_a_report_adds_up_the_repeats_and_says_what_was_measured():
    record = made_record({}, "energy")
    found = boamps_report(record)
    (measure,) = found["measures"]
    total_j = sum(repeat.energy.total_j for repeat in record.repeats)
    assert measure["powerConsumption"] == pytest.approx(total_j / 3_600_000)
    assert measure["measurementDuration"] == pytest.approx(sum(repeat.energy.window_s for repeat in record.repeats))
    assert measure["measurementDateTime"] == record.timing.started_at[:19].replace("T", " ")
    assert (measure["measurementMethod"], measure["version"]) == ("codecarbon", "3.3.2")
    assert measure["cpuTrackingMode"] == "cpu_load"
    assert "gpuTrackingMode" not in measure
    task = found["task"]
    assert task["nbRequest"] == sum(repeat.passes * repeat.rows for repeat in record.repeats)
    assert (
        "Energy estimated, gross: gpu not there, cpu cpu_load (estimated), ram ram_model (estimated)."
        in (task["taskDescription"])
    )
    assert task["algorithms"][0]["parametersNumber"] == record.pruning.parameters / 1e9
    assert [part["dataQuantity"] for part in task["dataset"]] == [16, 128]
    assert [part["componentType"] for part in found["infrastructure"]["components"]] == ["cpu", "ram"]
    assert "quality" not in found  # a bound of the error, which nobody knows


def test_a_model_of_the_hub_has_its_page_and_a_folder_only_its_key():
    here, there = (
        boamps_report(made_record({"done_key": key}, "energy"))["task"]["algorithms"][0]
        for key in (
            {"model": "/home/me/models/quarter", "model version": "sha256:0"},
            {"model": "meta-llama/Llama-3.2-1B", "model version": "commit:0"},
        )
    )
    assert (here["foundationModelName"], "foundationModelUri" in here) == ("quarter", False)
    assert there["foundationModelName"] == "meta-llama/Llama-3.2-1B"
    assert there["foundationModelUri"] == "https://huggingface.co/meta-llama/Llama-3.2-1B"


def test_without_a_total_there_is_no_report(tmp_path):
    repeat = {"energy": {"total_j": None, "quality": None, "cpu": UNKNOWN, "total_reason": "no cpu"}}
    figures = {"energy_per_token_j": None, "energy_per_response_j": None, "net_energy_per_token_j": None}
    record = made_record({"repeats": [repeat | figures], "idle": None}, "energy")
    with pytest.raises(RecordError, match="no BoAmps report, because a repeat has no total energy"):
        boamps_report(record)
    paths, problems = export_boamps([record, made_record({}, "energy")], tmp_path)
    assert [path.name for path in paths] == ["quarter-p40-decode_b1.json"]
    assert len(problems) == 1
