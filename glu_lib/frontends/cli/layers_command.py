"""The command layers: print the layer scans of a results folder and the layers they recommend; write a study file."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from glu_lib.analysis import Conclusions, conclude
from glu_lib.analysis.scans import Scan, recommendations
from glu_lib.errors import RecordError, ReportError, SettingsError, one_line
from glu_lib.frontends.cli.printing import print_listing, print_problems
from glu_lib.report.listings import Listing
from glu_lib.report.scan_findings import scan_sentences
from glu_lib.report.scan_table import SCAN_LEGEND, scan_listing, scan_notes, step_listing
from glu_lib.results.writing import write_atomically
from glu_lib.study import STUDY
from glu_lib.study.layers import ALL

_KEY = re.compile("[a-z0-9][a-z0-9_]*")  # of a model, as in `study.keys`


def layers(options: argparse.Namespace) -> int:
    """Print each scan with its findings and its recommendation; with --write, a study file of the layer sets."""
    found = conclude(options.results_dir)
    chosen = _chosen(found, options)
    text = study_text(chosen, found) if options.write else None
    for scan in chosen:
        _print(scan)
    print(SCAN_LEGEND)
    if text is not None:
        _write(options.write, text, chosen)
    return print_problems(found.problems)


def _chosen(found: Conclusions, options: argparse.Namespace) -> list[Scan]:
    """The scans that the options name.

    Raises:
        RecordError: if there is no scan at all.
        SettingsError: if the options name none of them.
    """
    if not found.scans:
        raise RecordError(f"{options.results_dir}: holds no layer scan; run pytest -m layers")
    chosen = [
        scan
        for scan in found.scans
        if options.model in (None, scan.model)
        if options.method is None or _method(options.method) == scan.method.lower()
    ]
    if not chosen:
        asked = " ".join(f"--{name} {getattr(options, name)}" for name in ("model", "method") if getattr(options, name))
        there = ", ".join(dict.fromkeys(f"{scan.model} {scan.method}" for scan in found.scans))
        raise SettingsError(f"{asked}: no such layer scan; choose from {there}")
    return chosen


def _method(name: str) -> str:
    """A method's key in lower case: MAW is accepted for PPM, and `random:7` for `random7`."""
    lower = name.lower()
    return "ppm" if lower == "maw" else lower.replace("random:", "random")


def _print(scan: Scan) -> None:
    """Print the tables, the notes (with the recommendation) and the findings of a scan."""
    listing: Listing
    for listing in (scan_listing(scan), step_listing(scan)):
        print_listing(listing)
    for line in (*scan_notes(scan), *scan_sentences(scan)):
        print(one_line(line))
    print()


def study_text(scans: Sequence[Scan], found: Conclusions) -> str:
    """A study file (TOML) in which each model is pruned on all layers, and on those that its scan recommends.

    Raises:
        SettingsError: if scans of several methods are given, if no scan recommends to spare a layer, or if a record
            names a model that no study can have.
    """
    methods = dict.fromkeys(scan.method for scan in scans)
    if len(methods) > 1:
        raise SettingsError(f"--write: there are scans of {', '.join(methods)}; choose one with --method NAME")
    sets = recommendations(scans)
    if not sets:
        raise SettingsError("--write: no layer is worth sparing, so that no study file is needed; leave out --write")
    paths = {(row["case"], row["limit"]): row["record"] for row in found.rows}
    lines = ["# Layer sets that layer scans recommend, each beside all layers; written by `glu layers --write`."]
    for model, mine in sets.items():
        if not _KEY.fullmatch(model):
            raise SettingsError(f"--write: model {model!r} is no key of a study; choose another one with --model KEY")
        lines.append("")
        spared = [scan for scan in scans if scan.model == model and scan.spared]
        lines += [f"# {one_line(_source(scan, paths[scan.case, scan.limit]))}" for scan in spared]
        if not is_built_in(scans, model):
            lines.append("# This model is declared in a study file: copy the line `layers` into its table there.")
        lines += [f"[models.{model}]", f"layers = {json.dumps([ALL, *mine])}"]
    return "\n".join(lines) + "\n"


def is_built_in(scans: Sequence[Scan], model: str) -> bool:
    """Whether the model is in the built-in study with the weights that were scanned."""
    sources = {scan.source for scan in scans if scan.model == model}
    return model in STUDY.models and sources == {STUDY.models[model].source}


def _source(scan: Scan, path: str) -> str:
    return f"{scan.title}, scanned {scan.started_at} on {scan.targets:,} tokens of {scan.text}: {path}"


def _write(path: Path, text: str, scans: Sequence[Scan]) -> None:
    """Write the study file, and say how to use it.

    Raises:
        SettingsError: if the file exists.
        ReportError: if it cannot be written.
    """
    if path.exists() or path.is_symlink():
        raise SettingsError(f"--write {path}: exists already; name a new file, or copy the recommended layers")
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise ReportError(f"--write {path}: cannot be written ({error.strerror}); name another place") from error
    print(f"study file: {path}")
    mine = [model for model in recommendations(scans) if is_built_in(scans, model)]
    if mine:
        print(f"run it with: pytest --study={shlex.quote(str(path))} -k {mine[0]}")
    for model in recommendations(scans):
        if model not in mine:
            print(
                f"{model} is declared in a study file of yours: copy the line `layers` into its [models.{model}] there"
            )
