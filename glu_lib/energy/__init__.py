"""Energy: windows in joules with their sources, and checks that catch impossible figures."""

from glu_lib.energy.idle import IdlePower, idle_power, measure_idle
from glu_lib.energy.plausibility import Claim, implausible, padded
from glu_lib.energy.window import (
    JOULES_PER_KWH,
    Component,
    EnergyMeter,
    EnergyReading,
    Quality,
    Window,
    read_components,
    sources,
)

__all__ = [
    "JOULES_PER_KWH",
    "Claim",
    "Component",
    "EnergyMeter",
    "EnergyReading",
    "IdlePower",
    "Quality",
    "Window",
    "idle_power",
    "implausible",
    "measure_idle",
    "padded",
    "read_components",
    "sources",
]
