"""Windows of CodeCarbon itself, which asks the system for its processor."""

import os
import signal
import threading

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


@pytest.mark.parametrize("moment", ["start", "cancel"])
def test_ctrl_c_while_the_tracker_holds_its_lock_does_not_stall_the_next_window(monkeypatch, moment):
    """As in a notebook, where the next cell measures again: CodeCarbon's scheduler does not release it in `finally`."""
    import torch

    meter, device = EnergyMeter(), torch.device("cpu")
    meter.start(device)
    begin_or_end = getattr(threading.Timer, moment)

    def interrupted(timer):
        begin_or_end(timer)
        if threading.current_thread() is threading.main_thread():
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Timer, moment, interrupted)
            with pytest.raises(KeyboardInterrupt), meter.window(device):
                pass
    finally:
        signal.signal(signal.SIGINT, before)
    with meter.window(device) as window:
        pass
    check_energy(window.result())
