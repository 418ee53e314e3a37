"""Energy: windows in joules with their sources, and generation workloads measured for time, memory and energy."""
