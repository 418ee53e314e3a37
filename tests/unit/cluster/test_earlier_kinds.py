import json

from made_records import record_values

from glu_lib.cluster.earlier_kinds import earlier_kinds
from glu_lib.results.store import Store

KINDS = {"NVIDIA H100 80GB HBM3": "H100", "NVIDIA L4": "L4"}


def put(root, model, level, gpu):
    values = record_values({"environment": {"device": "cuda" if gpu else "cpu", "gpu": gpu}})
    path = root / f"individual_files/{model}/{level}/{model}-{level}-facts.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))


def test_a_model_goes_on_where_its_first_level_was_scored(tmp_path):
    put(tmp_path, "one", "p40", "NVIDIA H100 80GB HBM3")
    put(tmp_path, "one", "p0", "NVIDIA L4")
    put(tmp_path, "elsewhere", "p0", "NVIDIA A100")
    put(tmp_path, "on_cpu", "p0", None)
    (tmp_path / "individual_files/one/p0/a.json").write_text("{")
    models = ["one", "elsewhere", "on_cpu", "new"]
    assert earlier_kinds(Store(tmp_path), models, KINDS) == {"one": "L4"}


def test_with_one_kind_nothing_is_bound(tmp_path):
    put(tmp_path, "one", "p0", "NVIDIA L4")
    assert earlier_kinds(Store(tmp_path), ["one"], {"NVIDIA L4": "L4"}) == {}
