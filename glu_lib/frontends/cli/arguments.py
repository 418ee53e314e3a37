"""The arguments of all commands."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Protocol

from glu_lib.frontends.cli.comparison_commands import difference, methods
from glu_lib.frontends.cli.export_command import Format, export
from glu_lib.frontends.cli.layers_command import layers
from glu_lib.frontends.cli.lm_eval_command import lm_eval
from glu_lib.frontends.cli.power_command import power
from glu_lib.frontends.cli.record_commands import compare, consolidate, report, table
from glu_lib.frontends.cli.shared_arguments import (
    add_pruning,
    add_published,
    add_results_dir,
    add_run_options,
    organization_name,
)
from glu_lib.frontends.cli.study_commands import list_cases, push, save, validate_models
from glu_lib.study.items import LimitFrom
from glu_lib.study.layers import PercentOf
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
    add_run_options(command)
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
    add_run_options(command)
    command.add_argument("--model", action="append", metavar="KEY", help="check only this model; may be repeated")
    command.set_defaults(command=validate_models)


def _add_record_commands(commands: Commands) -> None:
    command = commands.add_parser("consolidate", help="write results.csv, .json and .parquet from the records")
    add_results_dir(command)
    add_published(command)
    command.set_defaults(command=consolidate)

    command = commands.add_parser("report", help="write report/index.html and its figures as SVG and PNG")
    add_results_dir(command)
    command.add_argument(
        "--study", type=Path, metavar="FILE", help="study file of the runs, so that missing cases are listed"
    )
    add_published(command)
    command.set_defaults(command=report)

    command = commands.add_parser(
        "compare",
        help="print your scores next to the published ones, these beside blind answers, and their energies in joules",
    )
    add_results_dir(command)
    command.set_defaults(command=compare)

    command = commands.add_parser(
        "methods", help="print each method's scores beside random selection of as many neurons"
    )
    add_results_dir(command)
    command.set_defaults(command=methods, published=False)

    command = commands.add_parser(
        "difference", help="print whether two levels differ, task by task, tested on the same items"
    )
    command.add_argument("first", metavar="LEVEL", help="model and level as a case's name begins: llama1b-p20")
    command.add_argument("second", metavar="OTHER", help="the level beside it: llama1b-p20-layers1to14only")
    add_results_dir(command)
    command.add_argument("--task", action="append", metavar="NAME", help="compare in this task only; may be repeated")
    command.set_defaults(command=difference)

    command = commands.add_parser("table", help="print the headline metrics per level as Markdown")
    add_results_dir(command)
    add_published(command)
    command.add_argument(
        "--task",
        action="append",
        metavar="NAME",
        help="print the scores of this task, or the figures of this workload, and nothing else; may be repeated",
    )
    command.set_defaults(command=table)

    command = commands.add_parser("layers", help="print the layer scans and the layers that they recommend to prune")
    add_results_dir(command)
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
    add_results_dir(command)
    command.add_argument(
        "--format",
        action="append",
        choices=[str(name) for name in Format],
        help="write this format only (default: all); may be repeated",
    )
    command.add_argument(
        "--organization",
        type=organization_name,
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
    add_run_options(command)
    command.add_argument("--repo-id", required=True, metavar="ORG/NAME", help="repository to write to")
    command.add_argument("--model", metavar="KEY", help="upload this model, pruned, instead of the results")
    add_pruning(command)
    command.set_defaults(command=push)

    command = commands.add_parser(
        "save", help="prune a model and save it to a folder, to train it or to use it elsewhere"
    )
    add_run_options(command)
    command.add_argument("--model", required=True, metavar="KEY", help="the model to prune")
    command.add_argument("--folder", type=Path, required=True, metavar="FOLDER", help="a new folder to write to")
    add_pruning(command)
    command.set_defaults(command=save)
