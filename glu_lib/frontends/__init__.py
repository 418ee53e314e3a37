"""Drivers of the library: the pytest plugin, the command line, the notebook functions."""
