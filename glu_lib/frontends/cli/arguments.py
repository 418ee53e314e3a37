"""The arguments of all commands, and the choice of the results folder."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any, Protocol

from glu_lib.errors import SettingsError
from glu_lib.frontends.cli.export_command import Format, export
from glu_lib.frontends.cli.layers_command import layers
from glu_lib.frontends.cli.lm_eval_command import lm_eval
from glu_lib.frontends.cli.method_commands import methods
from glu_lib.frontends.cli.power_command import power
from glu_lib.frontends.cli.record_commands import compare, consolidate, report, table
from glu_lib.frontends.cli.study_commands import list_cases, push, save, validate_models
from glu_lib.study.items import LimitFrom
from glu_lib.study.layers import PercentOf
from glu_lib.study.settings import given_folder
from glu_lib.version import __version__


class Commands(Protocol):
    """What `add_subparsers` returns; argparse has no public name for it."""

    def add_parser(self, name: str, **words: Any) -> argparse.ArgumentParser:
        """Add a command."""


def parser() -> argparse.ArgumentParser:
    """Build the parser; each command stores its function in `command`."""
    parser = argparse.ArgumentParser(
        prog="glu", description="Commands on the cases and records of the GLU width pruning suite."
    )
    parser.add_argument("--version", action="version", version=f"glu {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")

    for add in (_add_list, _add_validate, _add_record_commands, _add_export, _add_tools, _add_model_commands):
        add(commands)
    return parser


def _add_list(commands: Commands) -> None:
    command = commands.add_parser("list", help="count the cases per level: done, stale, pending")
    _add_run_options(command)
    command.add_argument(
        "--method", action="append", metavar="NAME", help="list cases of this pruning method; may be repeated"
    )
    command.add_argument(
        "--divisor", action="append", type=int, metavar="N", help="list cases with this divisor; may be repeated"
    )
    command.add_argument(
        "--level",
        action="append",
        metavar="LEVEL",
        help="list this level in place of those that the models declare: 40, 2.4x, 900M, 1.8GB, as for pytest; may be "
        "repeated",
    )
    command.add_argument(
        "--layers", action="append", metavar="SET", help="list cases of this layer set; may be repeated"
    )
    command.add_argument("--percent-of", choices=list(PercentOf), help="what a level is a percentage of, as for pytest")
    command.add_argument(
        "--limit-from",
        choices=list(LimitFrom),
        default=LimitFrom.START,
        help="which samples --limit takes, as for pytest",
    )
    command.add_argument(
        "--samples", type=Path, metavar="FILE", help="list the cases of this file of samples, as for pytest"
    )
    command.add_argument("--controls", action="store_true", help="list the controls nomlp and untrained too")
    command.add_argument(
        "--dtype", metavar="TYPE", help="dtype of the weights, for levels in bytes (default: by device)"
    )
    command.add_argument(
        "--stale",
        action="store_true",
        help="list only stale cases, with the reason; the exit code is 0 either way",
    )
    command.set_defaults(command=list_cases)


def _add_validate(commands: Commands) -> None:
    command = commands.add_parser("validate", help="check access, download, disk, memory and tasks before a long run")
    _add_run_options(command)
    command.add_argument("--model", action="append", metavar="KEY", help="check only this model; may be repeated")
    command.set_defaults(command=validate_models)


def _add_record_commands(commands: Commands) -> None:
    command = commands.add_parser("consolidate", help="write results.csv, .json and .parquet from the records")
    _add_results_dir(command)
    _add_published(command)
    command.set_defaults(command=consolidate)

    command = commands.add_parser("report", help="write report/index.html and its figures as SVG and PNG")
    _add_results_dir(command)
    command.add_argument(
        "--study", type=Path, metavar="FILE", help="study file of the runs, so that missing cases are listed"
    )
    _add_published(command)
    command.set_defaults(command=report)

    command = commands.add_parser(
        "compare",
        help="print your scores next to the published ones, these beside blind answers, and their energies in joules",
    )
    _add_results_dir(command)
    command.set_defaults(command=compare)

    command = commands.add_parser(
        "methods", help="print each method's scores beside random selection of as many neurons"
    )
    _add_results_dir(command)
    command.set_defaults(command=methods, published=False)

    command = commands.add_parser("table", help="print the headline metrics per level as Markdown")
    _add_results_dir(command)
    _add_published(command)
    command.add_argument(
        "--task",
        action="append",
        metavar="NAME",
        help="print the scores of this task, or the figures of this workload, and nothing else; may be repeated",
    )
    command.set_defaults(command=table)

    command = commands.add_parser("layers", help="print the layer scans and the layers that they recommend to prune")
    _add_results_dir(command)
    command.add_argument("--model", metavar="KEY", help="print the scans of this model only")
    command.add_argument("--method", metavar="NAME", help="print the scans of this pruning method only")
    command.add_argument(
        "--write", type=Path, metavar="FILE", help="write a study file (TOML) with all layers and the recommended ones"
    )
    command.set_defaults(command=layers)


def _add_export(commands: Commands) -> None:
    command = commands.add_parser(
        "export", help="write records in the formats of other projects: optimum-benchmark, BoAmps, Every Eval Ever"
    )
    _add_results_dir(command)
    command.add_argument(
        "--format",
        action="append",
        choices=[str(name) for name in Format],
        help="write this format only (default: all); may be repeated",
    )
    command.add_argument(
        "--organization",
        type=_name,
        metavar="NAME",
        help="who publishes: the publisher of BoAmps, the source of Every Eval Ever",
    )
    command.set_defaults(command=export)


def _add_tools(commands: Commands) -> None:
    command = commands.add_parser(
        "power", help="tell how small a change n items can show, or how many items a change needs"
    )
    command.add_argument("--items", type=int, metavar="N", help="number of items: print the smallest change they show")
    command.add_argument("--change", type=float, metavar="X", help="a change, such as 0.03: print the items it needs")
    command.add_argument(
        "--discordant",
        type=float,
        metavar="SHARE",
        help="share of items that change either way (default: a few shares)",
    )
    command.set_defaults(command=power)

    command = commands.add_parser(
        "lm_eval", add_help=False, help="run lm-eval's own command with the suite's scorer registered as --model glu"
    )
    command.set_defaults(command=lm_eval)


def _add_model_commands(commands: Commands) -> None:
    command = commands.add_parser("push", help="upload the results as a data set, or a pruned model, to the hub")
    _add_run_options(command)
    command.add_argument("--repo-id", required=True, metavar="ORG/NAME", help="repository to write to")
    command.add_argument("--model", metavar="KEY", help="upload this model, pruned, instead of the results")
    _add_pruning(command)
    command.set_defaults(command=push)

    command = commands.add_parser(
        "save", help="prune a model and save it to a folder, to train it or to use it elsewhere"
    )
    _add_run_options(command)
    command.add_argument("--model", required=True, metavar="KEY", help="the model to prune")
    command.add_argument("--folder", type=Path, required=True, metavar="FOLDER", help="a new folder to write to")
    _add_pruning(command)
    command.set_defaults(command=save)


def _name(text: str) -> str:
    """A name that says something; argparse turns the error into one line."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is blank; give a name, or leave the option out")
    return text.strip()


def _add_pruning(command: argparse.ArgumentParser) -> None:
    command.add_argument("--percent", type=int, metavar="N", help="pruning percentage of the model")
    command.add_argument(
        "--level",
        metavar="LEVEL",
        help="level of the model in place of --percent: 40, 2.4x, 900M, 1.8GB, as for pytest",
    )
    command.add_argument("--method", default="PPM", metavar="NAME", help="pruning method of the model (default PPM)")
    command.add_argument("--layers", default="all", metavar="SET", help="prune only these layers (default all)")
    command.add_argument(
        "--percent-of", choices=list(PercentOf), default=PercentOf.LAYER, help="what a level is a percentage of"
    )


def _add_published(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--published", action="store_true", help="use the published study's tables instead of records, and write to DIR"
    )


def _add_results_dir(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "place", nargs="?", metavar="DIR", help="results folder (default: GLU_RESULTS_DIR, or results)"
    )
    command.add_argument("--results-dir", metavar="DIR", help="same as DIR, written as for pytest")


def results_dir(options: argparse.Namespace) -> Path:
    """The results folder given as DIR or as --results-dir; otherwise the default of a run.

    Raises:
        SettingsError: if both are given, if the value is blank, or if --published has no folder.
    """
    given = [found for found in (options.place, options.results_dir) if found is not None]
    if len(given) > 1:
        raise SettingsError(f"{given[0]} and --results-dir {given[1]}: two results folders; give one")
    if not given and getattr(options, "published", False):
        raise SettingsError("--published needs DIR, so that it does not overwrite the tables of a run; give a folder")
    return given_folder(given[0] if given else os.environ.get("GLU_RESULTS_DIR") or "results")


def _add_run_options(command: argparse.ArgumentParser) -> None:
    _add_results_dir(command)
    command.add_argument("--limit", type=int, metavar="N", help="consider limited runs with this sample limit")
    command.add_argument(
        "--study", type=Path, metavar="FILE", help="a study file (TOML) that adds to or replaces the built-in study"
    )
