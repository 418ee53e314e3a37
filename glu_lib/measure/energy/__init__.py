"""Energy: windows in joules with their sources, and the time, memory and energy of generation workloads."""
