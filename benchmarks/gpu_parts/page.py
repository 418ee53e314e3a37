"""The result of a measurement: `gpu.json` with all records, and `gpu.html`, a page that needs no other file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from glu_lib.results.writing import write_atomically
from gpu_parts import speed_tables, suites
from gpu_parts.markup import Cell, document, heading, number, paragraph, table
from gpu_parts.plan import MODELS, Part, Unit, units
from gpu_parts.records import Records, Status
from gpu_parts.setup import Setup

_TITLES = {Part.ENERGY: "Energy, random weights", Part.ALIGNMENT: "Aligned widths, random weights"}


def write_page(setup: Setup, records: Records) -> Path:
    """Write both files; returns the path of the page.

    Raises:
        RecordError: if a record cannot be read.
    """
    shown = shown_units(setup, records)
    found = {unit.key: record for unit in shown if (record := records.read(unit))}
    content = {"setup": setup.binding(), "left": [unit.key for unit in records.pending(shown)], "parts": found}
    write_atomically(records.folder / "gpu.json", f"{json.dumps(content, indent=1, allow_nan=False)}\n".encode())
    path = records.folder / "gpu.html"
    write_atomically(path, page(setup, records).encode())
    return path


def page(setup: Setup, records: Records) -> str:
    """The page as HTML."""
    shown = shown_units(setup, records)
    body = [
        _machine(setup, records, shown),
        *(speed_tables.rates(records), speed_tables.scorers(records, shown), speed_tables.decoders(records, shown)),
        *(speed_tables.equality(records, shown), speed_tables.kills(records, shown)),
        *(_suite(setup, part) for part in (Part.ENERGY, Part.ALIGNMENT)),
        _parts(records, shown),
    ]
    kind = "A trial" if setup.is_tiny else "Measured"
    return document(f"{kind} on {setup.binding()['device']}", "".join(body))


def shown_units(setup: Setup, records: Records) -> list[Unit]:
    """The units of this call, and all that earlier calls have measured or tried."""
    chosen = setup.units()
    return [unit for unit in units(MODELS, tuple(Part)) if unit in chosen or records.read(unit)]


def warning(setup: Setup) -> str | None:
    """What a reader must know before the first number; None for a measurement of full shapes on a GPU."""
    device = f"a processor ({setup.environment.cpu})" if not setup.on_gpu else f"a GPU ({setup.environment.gpu})"
    if setup.is_tiny:
        return f"A trial of the script on tiny shapes, on {device}. These figures are no result."
    return None if setup.on_gpu else f"Measured on {device}, one thread. Nothing here says how fast a GPU is."


def _machine(setup: Setup, records: Records, shown: list[Unit]) -> str:
    machine: dict[str, Any] = next((found["machine"] for unit in shown if (found := records.read(unit))), {})
    versions = machine.get("versions", setup.environment.versions)
    memory = machine.get("gpu_memory_bytes")
    rows: list[list[Cell]] = [
        ["GPU", setup.environment.gpu or "none: measured on a processor"],
        ["GPU memory", None if memory is None else f"{memory / 2**30:.0f} GiB"],
        ["driver, CUDA", f"{machine.get('driver') or '–'}, {machine.get('cuda') or '–'}"],
        ["processor", f"{setup.environment.cpu}, {setup.environment.cores} cores"],
        ["dtype", str(setup.environment.dtype)],
        ["versions", ", ".join(f"{name} {version}" for name, version in versions.items() if version)],
        ["commit", setup.environment.git_commit],
    ]
    said = paragraph(text, is_warning=True) if (text := warning(setup)) else ""
    models = "tiny stand-ins for " if setup.is_tiny else ""
    return (
        said
        + paragraph(f"Models: {models}the shapes of Llama-3.2-1B (llama1b) and -3B (llama3b), random weights.")
        + table(("", ""), rows, texts=2)
    )


def _suite(setup: Setup, part: Part) -> str:
    head = (
        *("model", "workload", "level", "width", "first token, ms", "token, ms", "tokens/s"),
        *("GPU, J/token", "GPU energy by", "machine, J/token", "net of rest, J/token", "machine's energy"),
        "alone on the machine",
    )
    rows = [_workload_row(record) for record in suites.records(setup, part)]
    rows.sort(key=lambda row: (str(row[0]), str(row[1])))
    text = (
        "Means of the repeats. The machine's energy adds processor and memory, which are measured only where RAPL can "
        f"be read. Records: {part}/random_weights; `glu table` prints them with intervals."
    )
    return heading(_TITLES[part]) + table(head, rows, texts=3) + paragraph(text)


def _workload_row(record: dict[str, Any]) -> list[Cell]:
    case, profile, repeats = record["case"], record["profile"], record["repeats"]
    names = ("time_to_first_token_ms", "time_per_output_token_ms", "tokens_per_s")
    sources = {repeat["energy"]["gpu"]["source"] or "not measured" for repeat in repeats}
    qualities = {repeat["energy"]["quality"] or "not measured" for repeat in repeats}
    alone = all(repeat["conditions"]["exclusive"] for repeat in repeats)
    return [
        *(case["model"], case["subject"], case["level"], number(record["pruning"]["width"])),
        *(profile[name]["mean"] for name in names),
        *(gpu_energy_per_token_j(repeats), ", ".join(sorted(sources))),
        *(profile[name]["mean"] for name in ("energy_per_token_j", "net_energy_per_token_j")),
        *(", ".join(sorted(qualities)), "yes" if alone else "no"),
    ]


def gpu_energy_per_token_j(repeats: Sequence[Mapping[str, Any]]) -> float | None:
    """Mean over the repeats of the GPU's joules over new tokens; None if a repeat has no figure."""
    joules = [repeat["energy"]["gpu"]["energy_j"] for repeat in repeats]
    if None in joules:
        return None
    return fmean(found / repeat["new_tokens"] for found, repeat in zip(joules, repeats, strict=True))


def _parts(records: Records, shown: list[Unit]) -> str:
    return heading("Parts") + table(("part", "", ""), _part_rows(records, shown), texts=3)


def _part_rows(records: Records, shown: list[Unit]) -> Iterator[list[Cell]]:
    for unit in shown:
        if (found := records.read(unit)) is None:
            yield [unit.key, "left for the next call", None]
        elif found["status"] == Status.FAILED:
            yield [unit.key, "failed", found["error"]]
        else:
            yield [unit.key, "done", f"{found['seconds']:.0f} s"]
