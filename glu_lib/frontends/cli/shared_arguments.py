"""Arguments that several commands share, and the choice of the results folder."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from glu_lib.errors import SettingsError
from glu_lib.study.layers import PercentOf
from glu_lib.study.settings import given_folder


def organization_name(text: str) -> str:
    """A name that says something; argparse turns the error into one line."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is blank; give a name, or leave the option out")
    return text.strip()


def add_pruning(command: argparse.ArgumentParser) -> None:
    """Add the options that say how a model is pruned."""
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


def add_published(command: argparse.ArgumentParser) -> None:
    """Add --published, the published tables in place of records."""
    command.add_argument(
        "--published", action="store_true", help="use the published study's tables instead of records, and write to DIR"
    )


def add_results_dir(command: argparse.ArgumentParser) -> None:
    """Add the results folder, as DIR or as --results-dir."""
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


def add_run_options(command: argparse.ArgumentParser) -> None:
    """Add the results folder and the options that define the cases of a run."""
    add_results_dir(command)
    command.add_argument("--limit", type=int, metavar="N", help="consider limited runs with this sample limit")
    command.add_argument(
        "--study", type=Path, metavar="FILE", help="a study file (TOML) that adds to or replaces the built-in study"
    )
