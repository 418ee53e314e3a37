"""lm-eval's own command line, with the suite's scorer registered."""

from __future__ import annotations

import argparse
import sys


def lm_eval(options: argparse.Namespace) -> int:
    """Run the `lm_eval` command with the model `glu` registered; returns the exit code."""
    from lm_eval.__main__ import cli_evaluate

    import glu_lib.measure.scoring.language_model  # noqa: F401  (registers the model)

    sys.argv = ["lm_eval", *options.rest]
    cli_evaluate()
    return 0
