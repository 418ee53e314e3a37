"""The arguments of every command, and the results folder that they name."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from glu_lib import __version__
from glu_lib.errors import SettingsError
from glu_lib.frontends.cli.lm_eval_command import lm_eval
from glu_lib.frontends.cli.record_commands import compare, consolidate, export, report, table
from glu_lib.frontends.cli.study_commands import list_cases, push, validate_models
from glu_lib.study.settings import given_folder


def parser() -> argparse.ArgumentParser:
    """The parser of all commands; each sets the function that runs it."""
    parser = argparse.ArgumentParser(prog="glu", description="Study and records of the GLU width pruning suite.")
    parser.add_argument("--version", action="version", version=f"glu {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")

    command = commands.add_parser("list", help="what there is to run, and what of it is done, stale or pending")
    _add_run_options(command)
    command.add_argument("--method", action="append", metavar="NAME", help="cases of this method; may be repeated")
    command.add_argument("--divisor", action="append", type=int, metavar="N", help="cases of this divisor; as above")
    command.add_argument("--stale", action="store_true", help="name each stale case and why it is stale")
    command.set_defaults(command=list_cases)

    command = commands.add_parser("validate", help="check access, download, disk, memory and tasks before a long run")
    _add_run_options(command)
    command.add_argument("--model", action="append", metavar="KEY", help="only this model; may be repeated")
    command.set_defaults(command=validate_models)

    command = commands.add_parser("consolidate", help="write results.csv, .json and .parquet from the records")
    _add_results_dir(command)
    _add_published(command)
    command.set_defaults(command=consolidate)

    command = commands.add_parser("report", help="write report/index.html and its figures as SVG and PNG")
    _add_results_dir(command)
    command.add_argument(
        "--study", type=Path, metavar="FILE", help="the study file of the runs, to know what is missing"
    )
    _add_published(command)
    command.set_defaults(command=report)

    command = commands.add_parser("compare", help="own scores beside the published ones; published energies in joules")
    _add_results_dir(command)
    command.set_defaults(command=compare)

    command = commands.add_parser("table", help="print headline metrics per level as Markdown")
    _add_results_dir(command)
    _add_published(command)
    command.set_defaults(command=table)

    command = commands.add_parser("export", help="write energy records in the layout of optimum-benchmark")
    _add_results_dir(command)
    command.set_defaults(command=export)

    command = commands.add_parser(
        "lm_eval", add_help=False, help="lm-eval's own command, which then knows the suite's scorer: --model glu"
    )
    command.set_defaults(command=lm_eval)

    command = commands.add_parser("push", help="upload the results as a data set, or a pruned model, to the hub")
    _add_run_options(command)
    command.add_argument("--repo-id", required=True, metavar="ORG/NAME", help="repository to write to")
    command.add_argument("--model", metavar="KEY", help="upload this model, pruned, instead of the results")
    command.add_argument("--percent", type=int, metavar="N", help="pruning percentage of the model")
    command.add_argument("--method", default="PPM", metavar="NAME", help="pruning method of the model (default PPM)")
    command.set_defaults(command=push)
    return parser


def _add_published(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--published", action="store_true", help="the published study's tables instead of records; DIR is written to"
    )


def _add_results_dir(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "place", nargs="?", metavar="DIR", help="results folder (default: GLU_RESULTS_DIR, or results)"
    )
    command.add_argument("--results-dir", metavar="DIR", help="the same, as pytest has it")


def results_dir(options: argparse.Namespace) -> Path:
    """The results folder, by its place or by its option; otherwise the one that a run would take.

    Raises:
        SettingsError: if both name one, or it is blank, or a folder has to be named.
    """
    given = [found for found in (options.place, options.results_dir) if found is not None]
    if len(given) > 1:
        raise SettingsError(f"{given[0]} and --results-dir {given[1]}: two results folders; name one")
    if not given and getattr(options, "published", False):
        raise SettingsError("--published: no folder is named, and no run's own is written to; name DIR")
    return given_folder(given[0] if given else os.environ.get("GLU_RESULTS_DIR") or "results")


def _add_run_options(command: argparse.ArgumentParser) -> None:
    _add_results_dir(command)
    command.add_argument("--limit", type=int, metavar="N", help="look at runs with this sample limit")
    command.add_argument("--study", type=Path, metavar="FILE", help="a study file (TOML) over the built-in study")
