"""Profiling: generation workloads measured for time, throughput, memory and energy."""

from glu_lib.profiling.consistency import inconsistencies
from glu_lib.profiling.workload import WorkloadProfile, profile_workload, repeat_claims

__all__ = ["WorkloadProfile", "inconsistencies", "profile_workload", "repeat_claims"]
