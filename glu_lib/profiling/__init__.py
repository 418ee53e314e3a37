"""Profiling: generation workloads measured for time, throughput, memory and energy."""

from glu_lib.profiling.workload import profile_workload, repeat_claims, workload_passes

__all__ = ["profile_workload", "repeat_claims", "workload_passes"]
