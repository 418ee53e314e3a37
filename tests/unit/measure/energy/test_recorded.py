"""Energies that earlier versions recorded: what each record shows, and what becomes of it."""

from pathlib import Path

import pytest
from made_records import record_values

from glu_lib.errors import RecordError
from glu_lib.results.codecarbon_memory import ram_model_w
from glu_lib.results.energy import Component, EnergyReading
from glu_lib.results.record import read_record
from glu_lib.results.records import parse_record

GIB = 1 << 30
RECORDS = Path(__file__).resolve().parents[4] / "results/measured"


def energy(gpu=600.0, cpu=20.0, ram=200.0, window_s=10.0, **fields):
    """A window as records of earlier versions have it: the total is the sum of what is known."""
    parts = {
        "gpu": Component(gpu, "nvml", "measured", None if gpu else "the counter did not advance in this window"),
        "cpu": Component(cpu, "cpu_load", "estimated", None if cpu else "the counter did not advance in this window"),
        "ram": Component(ram, "ram_model", "estimated", None if ram else "the counter did not advance in this window"),
    }
    total = sum(part.energy_j or 0.0 for part in parts.values())
    found = EnergyReading(window_s, total_j=total, quality="estimated", **parts).as_dict()
    del found["total_reason"]
    return found | fields


def wrong(record):
    return record.wrong_energies()


def accuracy(window, device="cpu"):
    record = record_values({"environment": {"device": device, "memory_bytes": 24 * GIB}})
    return parse_record(record | {"energy": window})


def workload(*windows, idle=None):
    """A record of these windows; one with wrong energies is refused, so the message is what counts."""
    record = record_values({"environment": {"device": "cuda", "memory_bytes": 24 * GIB}, "idle": idle}, "energy")
    (repeat, *_) = record["repeats"]
    natural = repeat["natural"] | {"energy": energy()}
    record["repeats"] = [
        repeat | {"seed": seed, "energy": window, "natural": natural} for seed, window in enumerate(windows, 42)
    ]
    return parse_record(record)


def test_whole_totals_are_right():
    assert wrong(accuracy(energy())) == []
    assert workload(energy(), energy()).wrong_energies() == []


def test_a_total_without_the_gpu_is_wrong():
    message = r"^its energy, seed 43, has a total without the GPU \(the counter did not advance in this window\);"
    with pytest.raises(RecordError, match=message):
        workload(energy(), energy(gpu=None))


def test_a_total_without_the_memory_called_measured_is_wrong():
    nothing = {"energy_j": None, "source": None, "quality": None, "reason": "no RAM that CodeCarbon can read"}
    measured = {"energy_j": 20.0, "source": "rapl", "quality": "measured", "reason": None}
    found = wrong(accuracy(energy(ram=None, quality="measured") | {"cpu": measured, "ram": nothing}))
    assert found == [
        "its energy has a total without the RAM (no RAM that CodeCarbon can read)",
        "its energy is called measured, but its RAM energy is not",
    ]


def test_work_on_a_gpu_whose_energy_nobody_read_is_wrong():
    nothing = {"energy_j": None, "source": None, "quality": None, "reason": "no GPU that CodeCarbon can read"}
    assert wrong(accuracy(energy(gpu=None) | {"gpu": nothing})) == []  # a machine without one
    found = wrong(accuracy(energy(gpu=None) | {"gpu": nothing}, device="cuda"))
    assert found == ["its energy has a total without the GPU (no GPU that CodeCarbon can read)"]


def test_idle_power_of_other_parts_is_wrong():
    idle = {"total_w": 22.0, "parts_w": {"gpu": None, "cpu": 2.0, "ram": 20.0}}
    with pytest.raises(RecordError, match=r"its idle power and its windows cover different parts \(GPU\); run"):
        workload(energy(), idle=idle)
    assert workload(energy(), idle=idle | {"total_w": None}).wrong_energies() == []


@pytest.mark.parametrize("pue", [0.5, 1.2, 2.0])
def test_settings_from_outside_show_in_the_memorys_watts(pue):
    (found,) = wrong(accuracy(energy(ram=200.0 * pue)))
    assert found == (
        f"its energy has {20 * pue:.3g} W for the memory, CodeCarbon's model gives 20 W: outside settings "
        "(pue, force_ram_power) changed it"
    )


def test_the_memory_of_a_later_record_is_not_looked_at():
    # Inside a Slurm job the model is told the allocation: such a record would be stale for ever.
    assert wrong(accuracy(energy(ram=400.0, total_reason=None))) == []


def test_the_memorys_watts_are_codecarbons():
    assert ram_model_w(24 * GIB) == (6.0, 20.0)


def test_a_window_of_no_time_says_nothing_here():
    assert wrong(accuracy(energy(window_s=0.0))) == []


def test_the_committed_records_are_right():
    paths = sorted(RECORDS.glob("*/individual_files/*/*/*.json"))
    assert len(paths) > 100
    assert {path.name: found for path in paths if (found := read_record(path).wrong_energies())} == {}
