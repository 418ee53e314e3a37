"""Runs one command and converts each outcome to an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from glu_lib.errors import GluError, one_line
from glu_lib.frontends.bars import bars_as_lines
from glu_lib.frontends.cli.arguments import parser
from glu_lib.frontends.cli.lm_eval_command import lm_eval
from glu_lib.frontends.cli.shared_arguments import results_dir

EXIT_USAGE = 2
EXIT_STOPPED = 130  # the shell's code for Ctrl-C (128 + SIGINT)
EXIT_PIPE = 141  # the shell's code for a broken pipe (128 + SIGPIPE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 success, 1 problems were reported, 2 usage error."""
    try:
        try:
            with bars_as_lines():
                return _run(arguments)
        finally:
            sys.stdout.flush()  # here, so that a broken pipe is caught below and not at interpreter exit
    except BrokenPipeError:
        # At exit the interpreter flushes once more; without this it would hit the broken pipe again.
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
        if hasattr(options, "place"):
            options.results_dir = results_dir(options)
        return int(options.command(options))
    except GluError as error:
        print(one_line(str(error)), file=sys.stderr)
        return EXIT_USAGE
