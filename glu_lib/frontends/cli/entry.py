"""The command line: one command is run, and every way it can end becomes an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from glu_lib.errors import GluError, one_line
from glu_lib.frontends.bars import bars_as_lines
from glu_lib.frontends.cli.arguments import parser, results_dir
from glu_lib.frontends.cli.lm_eval_command import lm_eval

EXIT_USAGE = 2
EXIT_STOPPED = 130  # as a shell tells of Ctrl-C
EXIT_PIPE = 141  # as a shell tells of a tool whose reader has gone


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 fine, 1 with problems that were named, 2 wrong use."""
    try:
        try:
            with bars_as_lines():
                return _run(arguments)
        finally:
            sys.stdout.flush()  # here, and not when the interpreter ends: the reader may have gone
    except BrokenPipeError:
        # What is still to be written when the interpreter ends must not meet the broken pipe again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return EXIT_STOPPED


def _run(arguments: Sequence[str] | None) -> int:
    options, rest = parser().parse_known_args(arguments)
    if rest and options.command is not lm_eval:
        parser().error(f"unrecognized arguments: {' '.join(rest)}")
    options.rest = rest
    try:
        if options.command is not lm_eval:
            options.results_dir = results_dir(options)
        return int(options.command(options))
    except GluError as error:
        print(one_line(str(error)), file=sys.stderr)
        return EXIT_USAGE
