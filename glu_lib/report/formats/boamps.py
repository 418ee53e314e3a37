"""Exports energy records as BoAmps reports, built of CodeCarbon's own classes of that format.

Format: https://github.com/Boavizta/BoAmps (`model/report_schema.json`), in the version that CodeCarbon writes. A report
is one computing task: all repeats of a workload at fixed length, with their energies and seconds added up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glu_lib.analysis.efficiency import energy_quality
from glu_lib.errors import RecordError
from glu_lib.report.formats.exported_model import SUITE, unpruned_model
from glu_lib.report.formats.exporting import export_each, stable_uuid
from glu_lib.results.energy import JOULES_PER_KWH, PARTS
from glu_lib.results.records import EnergyRecord, Repeat

if TYPE_CHECKING:
    from codecarbon.output_methods.boamps import (
        BoAmpsAlgorithm,
        BoAmpsDataset,
        BoAmpsHardware,
        BoAmpsHeader,
        BoAmpsMeasure,
    )

BOAMPS_FOLDER = "boamps"
_DTYPES = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}  # the format's words
_PER_BILLION = 1e9
_BYTES_PER_GB = 1e9


def export_boamps(
    records: Iterable[EnergyRecord], folder: Path, organization: str | None = None
) -> tuple[list[Path], list[str]]:
    """Write `<folder>/<case>.json` for each energy record (`<case>-limit<N>` for a limited run).

    Args:
        records: the records.
        folder: the folder of the reports.
        organization: who publishes them; None leaves the publisher out.

    Returns:
        The paths, and one message per record that cannot be exported.

    Raises:
        RecordError: if the folder cannot be written.
    """
    return export_each(records, folder, ".json", partial(boamps_report, organization=organization))


def boamps_report(record: EnergyRecord, organization: str | None = None) -> dict[str, Any]:
    """The report of a workload as JSON values: kilowatt hours, seconds, and where each figure comes from.

    `infraType` is `other`, because a record does not say whose machine it was; `quality`, a bound of the error in per
    cent, is left out, because no such bound is known.

    Raises:
        RecordError: if the energy of a part of the machine is not known, so that there is no total.
    """
    from codecarbon.output_methods.boamps import (
        BoAmpsInfrastructure,
        BoAmpsReport,
        BoAmpsSoftware,
        BoAmpsTask,
    )

    responses = sum(repeat.passes * repeat.rows for repeat in record.repeats)
    report = BoAmpsReport(
        header=_header(record, organization),
        task=BoAmpsTask(
            task_stage="inference",
            task_family="text generation",
            nb_request=responses,
            algorithms=[_algorithm(record)],
            dataset=_data(record),
            task_description=_description(record),
        ),
        measures=[_measure(record)],
        software=BoAmpsSoftware(language="python", version=record.environment.versions.get("python")),
        infrastructure=BoAmpsInfrastructure(infra_type="other", components=_hardware(record)),
    )
    found: dict[str, Any] = report.to_dict()
    return found


def _header(record: EnergyRecord, organization: str | None) -> BoAmpsHeader:
    from codecarbon.output_methods.boamps import BoAmpsHeader, BoAmpsPublisher
    from codecarbon.output_methods.boamps.mapper import BOAMPS_FORMAT_SPEC_URI, BOAMPS_FORMAT_VERSION

    publisher = BoAmpsPublisher(name=organization, project_name=SUITE, confidentiality_level="public")
    return BoAmpsHeader(
        format_version=BOAMPS_FORMAT_VERSION,
        format_version_specification_uri=BOAMPS_FORMAT_SPEC_URI,
        report_id=stable_uuid(record.as_text()),
        report_datetime=_utc(record),
        report_status="final",
        publisher=publisher if organization else None,
    )


def _algorithm(record: EnergyRecord) -> BoAmpsAlgorithm:
    from codecarbon.output_methods.boamps import BoAmpsAlgorithm

    model, pruning = unpruned_model(record), record.pruning
    return BoAmpsAlgorithm(
        algorithm_type="llm",
        foundation_model_name=model.source or model.name,
        foundation_model_uri=model.url,
        parameters_number=pruning.parameters / _PER_BILLION,
        framework="transformers",
        framework_version=record.environment.versions.get("transformers"),
        layers_number=len(pruning.widths) or None,
        quantization=_DTYPES.get(record.environment.dtype, record.environment.dtype),
    )


def _data(record: EnergyRecord) -> list[BoAmpsDataset]:
    """What one request reads and writes; the length of prompts of a task is not recorded."""
    from codecarbon.output_methods.boamps import BoAmpsDataset

    key = record.done_key
    read = BoAmpsDataset(data_usage="input", data_type="text", data_quantity=1)
    if key.prompt_tokens is not None:
        read = BoAmpsDataset(data_usage="input", data_type="token", data_quantity=key.prompt_tokens)
    return [read, BoAmpsDataset(data_usage="output", data_type="token", data_quantity=key.new_tokens)]


def _measure(record: EnergyRecord) -> BoAmpsMeasure:
    from codecarbon.output_methods.boamps import BoAmpsMeasure

    joules = [repeat.energy.total_j for repeat in record.repeats]
    known = [found for found in joules if found is not None]
    if len(known) < len(joules):
        reasons = {str(repeat.energy.total_reason) for repeat in record.repeats if repeat.energy.total_j is None}
        raise RecordError(
            f"{record.case.id}: no BoAmps report, because a repeat has no total energy ({'; '.join(sorted(reasons))})"
        )
    return BoAmpsMeasure(
        measurement_method="codecarbon",
        version=record.done_key.codecarbon,
        cpu_tracking_mode=_sources(record.repeats, "cpu"),
        gpu_tracking_mode=_sources(record.repeats, "gpu"),
        power_consumption=math.fsum(known) / JOULES_PER_KWH,
        measurement_duration=math.fsum(repeat.energy.window_s for repeat in record.repeats),
        measurement_date_time=_utc(record),
    )


def _hardware(record: EnergyRecord) -> list[BoAmpsHardware]:
    from codecarbon.output_methods.boamps import BoAmpsHardware

    machine = record.environment
    found = [BoAmpsHardware(component_type="cpu", component_name=machine.cpu, nb_component=machine.cores)]
    if machine.gpu and machine.is_on_gpu:
        found.append(BoAmpsHardware(component_type="gpu", component_name=machine.gpu, nb_component=1))
    memory = round(machine.memory_bytes / _BYTES_PER_GB)
    return [*found, BoAmpsHardware(component_type="ram", nb_component=1, memory_size=memory)]


def _description(record: EnergyRecord) -> str:
    """What was done, what was pruned, and of each joule whether it was measured or estimated."""
    case, key, pruning = record.case, record.done_key, record.pruning
    parts = [
        f"{part} {_sources(record.repeats, part) or 'not there'}{_quality(record.repeats, part)}" for part in PARTS
    ]
    return (
        f"{SUITE}, workload {key.workload}: {len(record.repeats)} repeats, {key.new_tokens} new tokens per request, "
        f"batch {key.batch_size}, {key.prompts_of} prompts, weights {record.weights}. "
        f"Level {case.level}: GLU width pruned by {case.percent} %, expansion ratio {pruning.expansion_ratio:.3g}, "
        f"{pruning.parameters} of {pruning.unpruned_parameters} parameters. "
        f"Energy {energy_quality(record.repeats)}, gross: {', '.join(parts)}."
    )


def _sources(repeats: Sequence[Repeat], part: str) -> str | None:
    names = {repeat.energy.parts[part].source for repeat in repeats}
    return "/".join(sorted(name for name in names if name)) or None


def _quality(repeats: Sequence[Repeat], part: str) -> str:
    found = {str(repeat.energy.parts[part].quality) for repeat in repeats if repeat.energy.parts[part].quality}
    return f" ({'/'.join(sorted(found))})" if found else ""


def _utc(record: EnergyRecord) -> str:
    """When the case began, UTC, as the format writes times."""
    return datetime.fromisoformat(record.timing.started_at).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
