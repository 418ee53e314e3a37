"""The parts of `benchmarks/gpu.py`: what is measured on a GPU, how pieces of it resume, and the page of results."""
