"""Energy: windows in joules with their sources, and checks that catch impossible figures."""

from glu_lib.energy.conditions import check_exclusive, gpu_state, observed_conditions
from glu_lib.energy.idle import ATTEMPTS, IdlePower, busy_machine, idle_power, measure_idle
from glu_lib.energy.plausibility import Claim, implausible, padded
from glu_lib.energy.reading import (
    JOULES_PER_KWH,
    PARTS,
    Component,
    EnergyReading,
    Quality,
    read_components,
    resolution_s,
    summed,
    without_figures,
    worst_quality,
)
from glu_lib.energy.recorded import unlike_windows, wrong_energies
from glu_lib.energy.tracker import country_intensity, sources
from glu_lib.energy.window import EnergyMeter, Window
from glu_lib.energy.work import WorkWindows

__all__ = [
    "ATTEMPTS",
    "JOULES_PER_KWH",
    "PARTS",
    "Claim",
    "Component",
    "EnergyMeter",
    "EnergyReading",
    "IdlePower",
    "Quality",
    "Window",
    "WorkWindows",
    "busy_machine",
    "check_exclusive",
    "country_intensity",
    "gpu_state",
    "idle_power",
    "implausible",
    "measure_idle",
    "observed_conditions",
    "padded",
    "read_components",
    "resolution_s",
    "sources",
    "summed",
    "unlike_windows",
    "without_figures",
    "worst_quality",
    "wrong_energies",
]
