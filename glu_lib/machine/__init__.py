"""The machine: device, GPUs, memory, threads, and what a device error means."""
