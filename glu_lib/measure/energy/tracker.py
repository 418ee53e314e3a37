"""CodeCarbon's tracker, set up without reading its configuration files and environment variables.

CodeCarbon's private names, as of version 3.3.2, stand only in this module: whether the tracker is set up as asked, and
the source of each figure, show nowhere else. (The check of old records has one more: `results/codecarbon_memory.py`.)
"""

from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glu_lib.errors import MeasurementError, RecordError, SettingsError
from glu_lib.machine.gpus import driver_index
from glu_lib.results.energy import Quality

if TYPE_CHECKING:
    import torch

# Seconds between CodeCarbon's samples of parts that have no energy counter.
SAMPLING_S = 1.0
_ASK_S = 5.0  # sudo and one sample of powermetrics take well under a second

# Every parameter of CodeCarbon's tracker that could change a figure, end a run or send data. The other parameters are
# deprecated (DEPRECATED) and have no effect if `output_methods` is set.
VALUES: dict[str, Any] = {
    "allow_multiple_runs": True,  # otherwise CodeCarbon uses a lock and replaces the signal handlers
    "api_call_interval": -1,
    "api_endpoint": None,
    "api_key": None,
    "cloud_provider": None,
    "cloud_region": None,
    "country_2letter_iso_code": None,
    "country_iso_code": None,
    "electricitymaps_api_token": None,
    "emissions_endpoint": None,
    "experiment_id": None,
    "experiment_name": "glu width pruning",
    "force_carbon_intensity_g_co2e_kwh": None,
    "force_cpu_power": None,
    "force_mode_cpu_load": False,
    "force_ram_power": None,
    "log_level": "critical",
    "logger_preamble": "",
    "logging_logger": None,
    "measure_power_secs": SAMPLING_S,
    "metadata": None,
    "on_csv_write": "append",
    "output_dir": tempfile.gettempdir(),  # only Intel Power Gadget writes files here
    "output_file": "emissions.csv",
    "output_handlers": (),
    "output_methods": (),
    "project_name": "glu width pruning",
    "prometheus_url": None,
    "pue": 1.0,
    "rapl_include_dram": False,
    "rapl_prefer_psys": False,
    "region": None,
    "tracking_mode": "machine",
    "wue": 0.0,
}
DEPRECATED = frozenset(
    {
        *("co2_signal_api_token", "save_to_api", "save_to_file"),
        *("save_to_logfire", "save_to_logger", "save_to_prometheus"),
    }
)

# CodeCarbon's CPU modes, with their source and quality in records. Modes that are not listed are estimates.
_CPU_SOURCES = {
    "intel_rapl": ("rapl", Quality.MEASURED),
    "windows_emi": ("windows_emi", Quality.MEASURED),
    "intel_power_gadget": ("power_gadget", Quality.MEASURED),
    "cpu_load": ("cpu_load", Quality.ESTIMATED),
    "constant": ("tdp", Quality.ESTIMATED),
}


def make_tracker(device: torch.device) -> Any:
    """A ready tracker for work on `device`. Its first task takes most of a second, so one is run and discarded.

    For work on a GPU, only the energy of `device` is measured. Its driver index is passed to CodeCarbon, which would
    misread CUDA_VISIBLE_DEVICES: it takes the indices there for the driver's and does not find GPUs by UUID. For work
    on the CPU, the energy of all GPUs of the machine is measured.

    Raises:
        MeasurementError: if the set-up failed; this has to be checked, because CodeCarbon hides its own errors.
    """
    from codecarbon import OfflineEmissionsTracker

    logging.getLogger("codecarbon").setLevel(logging.CRITICAL)  # it logs before its own log_level takes effect
    wanted = VALUES | {"gpu_ids": _gpu_numbers(device), "output_handlers": [], "output_methods": []}
    with _without_password():  # also of the first task, because the hardware may be looked for only then
        with _without_outside_settings():
            tracker = OfflineEmissionsTracker(**wanted)
        taken = getattr(tracker, "_conf", {})
        different = sorted(name for name, value in wanted.items() if name not in taken or taken[name] != value)
        if not different:
            tracker.start_task("warm-up")
        has_failed = different or tracker.stop_task("warm-up") is None
    if has_failed:
        _end_sampling(tracker)
        raise MeasurementError(
            f"CodeCarbon could not be set up ({', '.join(different) or 'no window'}); this version cannot measure "
            "energy here: install the one in constraints.txt"
        )
    return tracker


def _end_sampling(tracker: Any) -> None:
    """End the threads of a tracker that is not used; its own `stop` leaves those of a task alone."""
    for name in ("_scheduler", "_scheduler_monitor_power"):
        if (scheduler := getattr(tracker, name, None)) is not None:
            scheduler.stop()


@contextmanager
def _without_outside_settings() -> Iterator[None]:
    """Keep CodeCarbon from reading `.codecarbon.config` (home and working folder) and `CODECARBON_*` variables.

    They would change the measurement: `pue = 2` doubles every figure, `force_cpu_power` replaces the processor's
    figure, and a wrong folder leaves the tracker half set up.
    """
    from codecarbon import emissions_tracker

    before = emissions_tracker.get_hierarchical_config
    emissions_tracker.get_hierarchical_config = dict
    try:
        yield
    finally:
        emissions_tracker.get_hierarchical_config = before


@contextmanager
def _without_password() -> Iterator[None]:
    """Keep CodeCarbon from asking for a password on macOS, where it reads Apple's chips with `sudo powermetrics`.

    No setting turns that off. The reading is left to it only if sudo allows the command without a password, whatever it
    remembers of an earlier one; otherwise CodeCarbon estimates by the processor's load.
    """
    if sys.platform != "darwin" or _may_use_powermetrics():
        yield
        return
    from codecarbon.core import powermetrics

    before = powermetrics.is_powermetrics_available
    powermetrics.is_powermetrics_available = lambda: False
    try:
        yield
    finally:
        powermetrics.is_powermetrics_available = before


def _may_use_powermetrics() -> bool:
    """Whether sudo runs powermetrics without a password; `-n` never asks, `-k` ignores a remembered password."""
    command = (
        "sudo",
        "-k",
        "-n",
        *("powermetrics", "--samplers", "cpu_power", "-n", "1", "-i", "1", "-o", "/dev/null"),
    )
    try:
        found = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_ASK_S, check=False)
    except (OSError, subprocess.SubprocessError):
        return False
    return found.returncode == 0


def _gpu_numbers(device: torch.device) -> list[int]:
    """The driver's indices of the GPUs whose energy is measured."""
    if device.type == "cuda" and (number := driver_index(device.index or 0)) is not None:
        return [number]
    from codecarbon.core.gpu import AllGPUDevices

    return list(range(AllGPUDevices().device_count))


def sources(tracker: Any) -> dict[str, tuple[str, Quality]]:
    """Source and quality of each part's figure in CodeCarbon: `{"cpu": ("cpu_load", estimated), …}`."""
    from codecarbon.external.hardware import CPU, GPU, AppleSiliconChip, Raspberry
    from codecarbon.external.ram import RAM

    found: dict[str, tuple[str, Quality]] = {}
    for hardware in tracker._hardware:
        if isinstance(hardware, GPU):
            amd = any("amd" in type(device).__module__ for device in hardware.devices.devices)
            found["gpu"] = ("amdsmi" if amd else "nvml", Quality.MEASURED)
        elif isinstance(hardware, CPU):
            found["cpu"] = _CPU_SOURCES.get(hardware._mode, (str(hardware._mode), Quality.ESTIMATED))
        elif isinstance(hardware, AppleSiliconChip):
            found[hardware.chip_part.lower()] = ("powermetrics", Quality.MEASURED)
        elif isinstance(hardware, Raspberry):
            # CodeCarbon reads the power once at the end of a window and multiplies it by the window's length.
            found[hardware.chip_part.lower()] = ("pmic", Quality.ESTIMATED)
        elif isinstance(hardware, RAM):
            found["ram"] = ("ram_model", Quality.ESTIMATED)
    return found


def append_emissions(folder: Path, data: Any) -> None:
    """Append CodeCarbon's row of a window to `emissions.csv` in `folder`.

    Raises:
        RecordError: if the folder cannot be written.
    """
    from codecarbon.output_methods.file import FileOutput

    try:
        folder.mkdir(parents=True, exist_ok=True)
        FileOutput("emissions.csv", str(folder)).out(data, None)
    except OSError as error:
        raise RecordError(
            f"{folder}: emissions.csv cannot be written ({error.strerror}); check free space and permissions"
        ) from error


def country_intensity(country: str) -> float:
    """Mean carbon intensity of a country's electricity, g CO2e/kWh, from CodeCarbon's table of energy mixes.

    Raises:
        SettingsError: if the table does not contain the country code.
    """
    from codecarbon.input import DataSource

    table = DataSource().get_global_energy_mix_data()
    if country.upper() not in table:
        raise SettingsError(
            f"--country {country!r}: CodeCarbon has no energy mix for it; give a three-letter ISO code such as DEU"
        )
    return float(table[country.upper()]["carbon_intensity"])
