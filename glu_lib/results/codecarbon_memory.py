"""CodeCarbon's model of memory power, used to check the energies of early records.

The model is a private method (CodeCarbon 3.3.2). Reading records must not import what measures, so it stands here and
not in `measure/energy/tracker.py`.
"""

from __future__ import annotations

from functools import lru_cache


@lru_cache
def ram_model_w(memory_bytes: int) -> tuple[float, ...]:
    """Memory power in watts by CodeCarbon's model, first for ARM, then for other processors."""
    from codecarbon.external.ram import B_TO_GB, RAM

    model, watts = RAM(), []
    for model.is_arm_cpu in (True, False):
        watts.append(float(model._calculate_ram_power(memory_bytes / B_TO_GB)))
    return tuple(watts)
