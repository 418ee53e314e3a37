"""A unit that fails leaves one line, and the others are measured."""

import time
from types import SimpleNamespace

import pytest
import torch
from gpu_parts import child
from gpu_parts.child import LOST, measure_of, measure_unit, measure_units
from gpu_parts.plan import Part, Unit
from gpu_parts.records import Records

UNITS = [Unit(Part.RATES), Unit(Part.KILL, "llama1b"), Unit(Part.EQUAL, "llama1b")]
LOST_GPU = RuntimeError("CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be")


@pytest.fixture
def bench(monkeypatch):
    released = []
    bench = SimpleNamespace(machine={"gpu": "H200"}, release=lambda: released.append(True), released=released)
    monkeypatch.setattr(child, "prepared_bench", lambda setup: bench)
    return bench


def fail(error):
    def measure(bench, unit):
        raise error

    return measure


def test_out_of_memory_is_one_line_and_the_model_is_released(bench, tmp_path):
    records = Records(tmp_path)
    error = torch.OutOfMemoryError("\nCUDA out of memory. Tried to allocate 9 GiB.\nSee documentation")
    assert not measure_unit(bench, records, UNITS[0], fail(error))
    found = records.read(UNITS[0])
    assert found["error"] == "OutOfMemoryError: CUDA out of memory. Tried to allocate 9 GiB."
    assert (found["status"], found["machine"], bench.released) == ("failed", {"gpu": "H200"}, [True])


def test_the_others_are_measured_after_a_failure(bench, make_setup, monkeypatch):
    measures = {Part.RATES: fail(ValueError()), Part.KILL: lambda *_: {"kept_answers": 3}}
    monkeypatch.setattr(child, "measure_of", measures.__getitem__)
    setup = make_setup()
    assert measure_units(setup, UNITS[:2], time.monotonic() + 540) == 0
    records = Records(setup.output)
    assert records.read(UNITS[0])["error"] == "ValueError: without a message"
    assert records.measured(UNITS[1]) == {"kept_answers": 3}
    assert records.begun() is None


def test_a_lost_gpu_ends_the_process(bench, make_setup, monkeypatch):
    monkeypatch.setattr(child, "measure_of", lambda part: fail(LOST_GPU))
    setup = make_setup()
    assert measure_units(setup, UNITS, time.monotonic() + 540) == LOST
    assert bench.released == []  # the GPU answers nothing any more
    assert Records(setup.output).pending(UNITS) == UNITS[1:]


def test_a_unit_that_does_not_fit_any_more_is_not_started(bench, make_setup, monkeypatch):
    monkeypatch.setattr(child, "measure_of", lambda part: lambda *_: {})
    setup = make_setup()
    assert measure_units(setup, UNITS, time.monotonic() + 50) == 0
    assert Records(setup.output).pending(UNITS) == UNITS[1:]


def test_every_part_but_runs_of_pytest_has_its_function():
    names = {part: measure_of(part).__name__ for part in Part if not part.is_pytest}
    assert names[Part.DECODER] == "measure_decoder"
    assert len(set(names.values())) == len(Part) - 2


def test_records_are_json_without_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        Records(tmp_path).done(UNITS[0], {}, 1.0, {"launch_s": float("nan")})
