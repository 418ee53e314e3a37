"""Windows of CodeCarbon itself, which asks the system for its processor."""

import pytest

from glu_lib.measure.energy.reading import check_energy
from glu_lib.measure.energy.window import EnergyMeter


def test_a_real_window_on_this_machine_names_its_estimates():
    import torch

    meter = EnergyMeter()
    with meter.window(torch.device("cpu")) as window:
        sum(number * number for number in range(2_000_000))
    check_energy(window.result())
    reading = window.result().as_dict()
    assert reading["ram"]["source"] == "ram_model"
    assert reading["total_j"] > 0
    # 1 W to 10 kW: more than any machine that runs this test, far less than a unit error would give.
    assert 1 < reading["total_j"] / reading["window_s"] < 10_000


def test_an_error_in_the_window_closes_it_and_passes_through():
    import torch

    meter = EnergyMeter()
    with pytest.raises(KeyError), meter.window(torch.device("cpu")) as failed:
        raise KeyError("lost")
    assert failed.result().window_s > 0
    with meter.window(torch.device("cpu")) as window:
        pass
    assert window.result().window_s < failed.result().window_s + 1
