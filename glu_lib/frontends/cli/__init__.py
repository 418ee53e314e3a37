"""The command line: commands on study and records."""

from glu_lib.frontends.cli.main import main

__all__ = ["main"]
