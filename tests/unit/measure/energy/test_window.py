from types import SimpleNamespace

import pytest

from glu_lib.errors import MeasurementError
from glu_lib.measure.energy.reading import check_energy, read_components, summed
from glu_lib.measure.energy.window import Window
from glu_lib.results.energy import Component, EnergyReading, Quality

SOURCES = {
    "gpu": ("nvml", Quality.MEASURED),
    "cpu": ("cpu_load", Quality.ESTIMATED),
    "ram": ("ram_model", Quality.ESTIMATED),
}


def data(gpu=0.0, cpu=0.0, ram=0.0):
    """CodeCarbon's task data: energies in kWh; `emissions` (kg CO2e) is there to be ignored."""
    return SimpleNamespace(gpu_energy=gpu, cpu_energy=cpu, ram_energy=ram, emissions=123.0)


def test_kilowatt_hours_become_joules_once():
    reading = read_components(data(gpu=1e-6, cpu=2e-6, ram=3e-6), SOURCES, 2.0)
    assert reading.gpu.energy_j == pytest.approx(3.6)
    assert reading.total_j == pytest.approx(21.6)
    assert reading.window_s == 2.0


def test_every_figure_carries_its_source_and_quality():
    reading = read_components(data(gpu=1e-6, cpu=1e-6, ram=1e-6), SOURCES, 1.0)
    assert (reading.gpu.source, reading.gpu.quality) == ("nvml", "measured")
    assert (reading.cpu.source, reading.cpu.quality) == ("cpu_load", "estimated")
    assert reading.quality == "estimated"  # one estimated part makes the total an estimate


def test_a_total_of_counters_only_is_measured():
    sources = {"gpu": SOURCES["gpu"], "cpu": ("rapl", Quality.MEASURED), "ram": ("counter", Quality.MEASURED)}
    assert read_components(data(gpu=1e-6, cpu=1e-6, ram=1e-6), sources, 1.0).quality == "measured"


def test_a_missing_part_is_null_with_its_reason_never_zero():
    sources = {"cpu": SOURCES["cpu"], "ram": SOURCES["ram"]}
    reading = read_components(data(cpu=1e-6, ram=1e-6), sources, 1.0)
    assert reading.gpu.energy_j is None
    assert reading.gpu.reason == "no GPU that CodeCarbon can read"
    assert reading.total_j == pytest.approx(7.2)  # a machine without a GPU has all its parts


def test_a_counter_that_stood_still_is_null_with_its_reason():
    reading = read_components(data(ram=1e-6), SOURCES, 0.001)
    assert reading.gpu.energy_j is None
    assert reading.gpu.reason == "the counter did not advance in this window"


@pytest.mark.parametrize("part", ["gpu", "cpu", "ram"])
def test_a_total_without_one_of_its_parts_is_null_with_the_reason(part):
    reading = read_components(data(**{"gpu": 1e-5, "cpu": 1e-6, "ram": 1e-6, part: 0.0}), SOURCES, 2.0, 400.0)
    assert (reading.total_j, reading.quality, reading.co2e_kg) == (None, None, None)
    assert reading.total_reason == f"{part.upper()}: the counter did not advance in this window"
    others = {"gpu", "cpu", "ram"} - {part}
    assert all(reading.parts[other].energy_j > 0 for other in others)  # parts stay, to be compared with parts


@pytest.mark.parametrize("part", ["cpu", "ram"])
def test_no_total_where_a_part_that_every_machine_has_cannot_be_read(part):
    sources = {name: source for name, source in SOURCES.items() if name != part}
    reading = read_components(data(gpu=1e-5, cpu=1e-6, ram=1e-6), sources, 2.0)
    assert (reading.total_j, reading.total_reason) == (
        None,
        f"{part.upper()}: no {part.upper()} that CodeCarbon can read",
    )


def test_work_on_a_gpu_that_cannot_be_read_has_no_total():
    sources = {name: source for name, source in SOURCES.items() if name != "gpu"}
    reading = read_components(data(cpu=1e-6, ram=1e-6), sources, 2.0, on_gpu=True)
    assert (reading.total_j, reading.total_reason) == (None, "GPU: no GPU that CodeCarbon can read")


def test_windows_of_one_case_are_summed_part_by_part():
    one = read_components(data(gpu=1e-6, cpu=2e-6, ram=3e-6), SOURCES, 2.0, 400.0)
    whole = summed([one, one])
    assert (whole.window_s, whole.is_short) == (4.0, False)
    assert [part.energy_j for part in whole.parts.values()] == pytest.approx([7.2, 14.4, 21.6])
    assert (whole.total_j, whole.quality, whole.total_reason) == (pytest.approx(43.2), "estimated", None)
    assert whole.co2e_kg == pytest.approx(2 * one.co2e_kg)


def test_a_window_that_lacks_a_part_takes_it_from_the_sum():
    one = read_components(data(gpu=1e-6, cpu=2e-6, ram=3e-6), SOURCES, 2.0)
    lame = read_components(data(cpu=2e-6, ram=3e-6), SOURCES, 0.5)
    whole = summed([one, lame, one])
    assert (whole.gpu.energy_j, whole.gpu.source) == (None, "nvml")
    assert whole.cpu.energy_j == pytest.approx(21.6)
    assert (whole.total_j, whole.quality, whole.co2e_kg) == (None, None, None)
    assert whole.total_reason == "GPU: the counter did not advance in this window"
    assert whole.is_short


def test_nothing_readable_gives_no_total():
    reading = read_components(data(), SOURCES, 1.0)
    assert (reading.total_j, reading.quality, reading.co2e_kg) == (None, None, None)


def test_an_open_window_has_no_reading():
    with pytest.raises(MeasurementError, match="still open"):
        Window().result()


@pytest.mark.parametrize(
    ("joules", "message"),
    [
        (None, "energy of gpu is missing without a reason"),
        (0.0, "energy of gpu is 0.0 J; it must be above 0 or null"),
        (-1.0, "energy of gpu is -1.0 J"),
    ],
)
def test_impossible_energies_are_refused(joules, message):
    wrong, fine = (Component(value, "nvml", Quality.MEASURED) for value in (joules, 1.0))
    with pytest.raises(MeasurementError, match=message):
        check_energy(EnergyReading(1.0, wrong, fine, fine, 2.0, Quality.MEASURED))
