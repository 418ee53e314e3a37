"""Energy windows as a record holds them, the conditions beside them, and what is wrong with a window's joules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from glu_lib.results.codecarbon_memory import ram_model_w
from glu_lib.results.energy import EVERY_MACHINE_HAS, Quality, resolution_s
from glu_lib.results.records.values import Number, Part

_LONGEST_REASON = 80  # characters
_MEASURED = frozenset({"nvml", "amdsmi", "rapl", "powermetrics", "windows_emi", "power_gadget"})
# The window's clock and CodeCarbon's clock are read at slightly different times.
_TOLERANCE, _CLOCKS_APART_S = 0.05, 0.05

AnyQuality = Annotated[Quality, Field(strict=False)]


class ComponentFields(Part):
    """Energy of one part of the machine in a window."""

    energy_j: Number | None = Field(description="joules; null if they cannot be read")
    source: str | None = Field(
        description="`nvml`, `rapl` (measured); `cpu_load`, `tdp`, `ram_model` (estimated); null: not there"
    )
    quality: AnyQuality | None = Field(description="`measured` or `estimated`")
    reason: str | None = Field(description="why the joules are null")


class EnergyWindow(Part):
    """Energy of one window, by part of the machine and in total."""

    window_s: Number = Field(description="seconds of the window")
    gpu: ComponentFields = Field(description="the GPU")
    cpu: ComponentFields = Field(description="the processor")
    ram: ComponentFields = Field(description="the memory")
    total_j: Number | None = Field(description="joules of all parts; null if a part is unknown")
    quality: AnyQuality | None = Field(description="`measured` if every part is, otherwise `estimated`")
    co2e_kg: Number | None = Field(description="kg CO2e; null unless the run names the place")
    is_short: bool = Field(False, description="whether the window is shorter than one step of a counter that it reads")
    total_reason: str | None = Field(None, description="why the total is null")

    @property
    def parts(self) -> dict[str, ComponentFields]:
        """The parts by name."""
        return {"gpu": self.gpu, "cpu": self.cpu, "ram": self.ram}

    @property
    def parts_j(self) -> dict[str, float | None]:
        """The joules by part."""
        return {name: part.energy_j for name, part in self.parts.items()}

    def wrong_total(self, *, on_gpu: bool) -> Iterator[str]:
        """Why the total is not that of the machine: a part is missing, or one is not measured; earlier versions."""
        if self.total_j is None:
            return
        expected = {name: part for name, part in self.parts.items() if _is_there(name, part, on_gpu=on_gpu)}
        for name, part in expected.items():
            if part.energy_j is None:
                yield f"has a total without the {name.upper()} ({str(part.reason)[:_LONGEST_REASON]})"
        worse = [name for name, part in expected.items() if part.quality is not Quality.MEASURED]
        if self.quality is Quality.MEASURED and worse:
            yield f"is called measured, but its {worse[0].upper()} energy is not"

    def wrong_memory(self, memory_bytes: int) -> Iterator[str]:
        """Why the memory's power is not CodeCarbon's constant: settings from outside, which later versions ignore."""
        ram = self.ram
        if self.has("total_reason") or ram.source != "ram_model" or ram.energy_j is None or self.window_s <= 0:
            return
        found_w, models_w = ram.energy_j / self.window_s, ram_model_w(memory_bytes)
        allowed = _TOLERANCE + _CLOCKS_APART_S / self.window_s
        if all(abs(found_w / watts - 1) > allowed for watts in models_w):
            yield (
                f"has {found_w:.3g} W for the memory, CodeCarbon's model gives {models_w[-1]:.3g} W: "
                "outside settings (pue, force_ram_power) changed it"
            )

    def contradictions(self) -> Iterator[str]:
        """A total that is null beside known parts, a quality that its source does not give, a short window."""
        if (
            self.total_j is None
            and not self.total_reason
            and any(joules is not None for joules in self.parts_j.values())
        ):
            yield "its parts have energies, its total is null"
        for name, part in self.parts.items():
            expected = Quality.MEASURED if part.source in _MEASURED else Quality.ESTIMATED
            if part.source is not None and part.quality is not expected:
                yield f"{name} energy of {part.source} is called {part.quality}"
        sources = [part.source for part in self.parts.values() if part.source is not None]
        if sources and not self.is_short and self.window_s < max(map(resolution_s, sources)):
            yield f"a window of {self.window_s:.3g} s is shorter than its counters' step, is_short is false"


def _is_there(name: str, part: ComponentFields, *, on_gpu: bool) -> bool:
    return name in EVERY_MACHINE_HAS or part.source is not None or (on_gpu and name == "gpu")


class GpuState(Part):
    """State of the GPU beside a window."""

    temperature_c: Number = Field(description="temperature, °C")
    sm_clock_mhz: Number = Field(description="clock of the multiprocessors, MHz")
    memory_clock_mhz: Number = Field(description="clock of the memory, MHz")
    power_limit_w: Number = Field(description="power limit, watts")


class ConditionsFields(Part):
    """What else happened on the machine during a window."""

    exclusive: bool = Field(description="whether no other process used the machine")
    shared_with: list[str] = Field(default_factory=list, description="what shared the window")
    gpu_before: GpuState | None = Field(description="clock, temperature and power limit before; null without a GPU")
    other_cpu_cores: Number | None = Field(None, description="cores that other processes used on average")
    gpu_after: GpuState | None = Field(description="the same after")

    @property
    def power_limit_w(self) -> float | None:
        """The GPU's power limit; None if it is not known."""
        return self.gpu_before.power_limit_w if self.gpu_before else None
