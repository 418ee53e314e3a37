import json

import pytest
from gpu_parts.plan import Part, Unit
from gpu_parts.records import Records

from glu_lib.errors import RecordError

RATES, KILL, ENERGY = Unit(Part.RATES), Unit(Part.KILL, "llama1b"), Unit(Part.ENERGY, "llama1b")


@pytest.fixture
def records(tmp_path):
    return Records(tmp_path)


def test_a_folder_belongs_to_one_device_and_setup(records):
    records.bind({"device": "H200", "tiny": False})
    records.bind({"device": "H200", "tiny": False})
    with pytest.raises(RecordError, match="holds records of device 'H200', this call is of 'T4'; choose another"):
        records.bind({"device": "T4", "tiny": False})


def test_what_is_finished_is_not_pending(records):
    records.done(RATES, {"gpu": "H200"}, 2.0, {"launch_s": 1e-6})
    records.failed(KILL, {"gpu": "H200"}, 3.0, "out of\nmemory" + "!" * 400)
    assert records.pending([RATES, KILL, ENERGY]) == [ENERGY]
    assert records.measured(RATES) == {"launch_s": 1e-6}
    assert records.measured(KILL) is None
    found = json.loads(records.path(KILL).read_text())
    assert (found["status"], found["machine"]) == ("failed", {"gpu": "H200"})
    assert found["error"].startswith("out of\\nmemory!")
    assert len(found["error"]) == 300


@pytest.mark.parametrize("content", [{}, {"status": "done"}, {"status": "failed"}, {"status": "odd", "measured": {}}])
def test_what_is_no_record_is_one_line(records, content):
    records.path(RATES).parent.mkdir()
    records.path(RATES).write_text(json.dumps(content))
    with pytest.raises(RecordError, match=r"rates.json is no record of a part; delete it to measure the part again"):
        records.read(RATES)


def test_failed_units_are_forgotten_on_request(records):
    records.done(RATES, {}, 2.0, {})
    records.failed(KILL, {}, 3.0, "out of memory")
    records.forget_failed([RATES, KILL, ENERGY])
    assert records.pending([RATES, KILL]) == [KILL]


def test_a_stopped_unit_needs_more_time_but_a_run_of_pytest_goes_on(records):
    assert records.needs_s(KILL, is_tiny=False) == 120
    records.stopped(KILL, 200.0)
    records.stopped(ENERGY, 200.0)
    assert records.needs_s(KILL, is_tiny=False) == 300
    assert records.needs_s(ENERGY, is_tiny=False) == 150
    assert records.needs_s(RATES, is_tiny=True) == 10


def test_the_unit_at_work_is_named_until_it_ends(records):
    assert records.begun() is None
    records.begin(KILL)
    key, had_s = records.begun()
    assert (key, had_s >= 0) == ("kill-llama1b", True)
    records.end()
    assert records.begun() is None


@pytest.mark.parametrize(("text", "message"), [("{", "cannot be read"), ("[]", "holds no JSON object")])
def test_a_damaged_record_is_one_line(records, text, message):
    records.path(RATES).parent.mkdir()
    records.path(RATES).write_text(text)
    with pytest.raises(RecordError, match=message):
        records.read(RATES)
