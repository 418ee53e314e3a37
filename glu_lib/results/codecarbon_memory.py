"""CodeCarbon's model of the memory's power, by which energies of early records are checked."""

from __future__ import annotations

from functools import lru_cache


@lru_cache
def ram_model_w(memory_bytes: int) -> tuple[float, ...]:
    """Watts that CodeCarbon's model gives a memory of that size: on ARM, and on other processors."""
    from codecarbon.external.ram import B_TO_GB, RAM

    model, watts = RAM(), []
    for model.is_arm_cpu in (True, False):
        watts.append(float(model._calculate_ram_power(memory_bytes / B_TO_GB)))
    return tuple(watts)
