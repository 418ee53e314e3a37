"""Energy: windows in joules with their sources, and checks that catch impossible figures."""

from glu_lib.energy.conditions import check_exclusive, gpu_state, observed_conditions
from glu_lib.energy.idle import ATTEMPTS, IdlePower, busy_machine, idle_power, measure_idle
from glu_lib.energy.plausibility import Claim, implausible, padded
from glu_lib.energy.window import (
    JOULES_PER_KWH,
    Component,
    EnergyMeter,
    EnergyReading,
    Quality,
    Window,
    country_intensity,
    incomplete,
    read_components,
    resolution_s,
    sources,
)

__all__ = [
    "ATTEMPTS",
    "JOULES_PER_KWH",
    "Claim",
    "Component",
    "EnergyMeter",
    "EnergyReading",
    "IdlePower",
    "Quality",
    "Window",
    "busy_machine",
    "check_exclusive",
    "country_intensity",
    "gpu_state",
    "idle_power",
    "implausible",
    "incomplete",
    "measure_idle",
    "observed_conditions",
    "padded",
    "read_components",
    "resolution_s",
    "sources",
]
