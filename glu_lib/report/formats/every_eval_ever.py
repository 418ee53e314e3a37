"""Exports scores as Every Eval Ever records: one file per model and level, and one with its items.

Format: https://github.com/evaleval/every_eval_ever, schema 0.3.0 (`eval.schema.json`, and
`instance_level_eval.schema.json` for items). Paths are those of its datastore,
`data/<collection>/<developer>/<model>/<uuid>.json`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from glu_lib.errors import RecordError
from glu_lib.report.formats.eval_items import item_lines
from glu_lib.report.formats.eval_results import as_texts, epoch, evaluation_results
from glu_lib.report.formats.exported_model import SUITE, ExportedModel, exported_model
from glu_lib.report.formats.exporting import as_json, stable_uuid, write
from glu_lib.report.formats.scored_case import ScoredCase
from glu_lib.results.lm_eval_samples import lm_eval_results_of
from glu_lib.results.record import MALFORMED
from glu_lib.results.store import Store

EVERY_EVAL_EVER_FOLDER = "every_eval_ever"
SCHEMA_VERSION = "0.3.0"
COLLECTION = "glu-width-pruning"


def export_evaluations(
    store: Store, cases: Iterable[ScoredCase], folder: Path, organization: str | None = None
) -> tuple[list[Path], list[str], list[str]]:
    """Write one file of results and one of items per model, level and choice of items (limit, samples file).

    Args:
        store: the results folder.
        cases: its scored cases.
        folder: the folder of the format.
        organization: who provides the results; None: `unknown`, because the schema requires a name.

    Returns:
        The paths of the files of results; one message per value or case that is left out; one per case without items.

    Raises:
        RecordError: if the folder cannot be written.
    """
    groups: dict[tuple[Any, ...], list[ScoredCase]] = {}
    for case in cases:
        record = case.record
        groups.setdefault((record.case.model, record.case.level, record.done_key.limit, record.subset), []).append(case)
    paths: list[Path] = []
    problems: list[str] = []
    without_items: list[str] = []
    for group in groups.values():
        try:
            evaluation = _Evaluation(store, group, organization)
            lines, missing = item_lines(store, group, evaluation.id, evaluation.model.id, SCHEMA_VERSION)
            content = evaluation.content(lines)
            data = as_json(content)
        except (RecordError, *MALFORMED) as error:
            problems.append(f"{group[0].record.case.model!r} {group[0].record.case.level!r}: {error}")
            continue
        problems += evaluation.problems
        without_items += missing
        if not content["evaluation_results"]:
            continue
        if lines:
            write(folder / evaluation.items_path, lines)
        else:
            (folder / evaluation.items_path).unlink(missing_ok=True)  # of an earlier export
        paths.append(write(folder / evaluation.path, data))
    return paths, problems, without_items


class _Evaluation:
    """The file of one level's results."""

    def __init__(self, store: Store, cases: Sequence[ScoredCase], organization: str | None) -> None:
        self.cases, self.organization = sorted(cases, key=_begun), organization
        self.record = first = self.cases[0].record
        self.model: ExportedModel = exported_model(first)
        scope = "".join(f"/{part}" for part in (_limit_text(first.done_key.limit), first.subset) if part)
        self.id = f"{COLLECTION}/{self.model.id}{scope}/{epoch(first)}"
        # Not of the time: a level that was scored again replaces its file.
        self.uuid = stable_uuid(f"{first.case.model} {self.model.id} {first.done_key.model_version}{scope}")
        found = [
            result
            for case in self.cases
            for result in evaluation_results(case.record, lm_eval_results_of(store, case.name))
        ]
        self.problems = [result for result in found if isinstance(result, str)]
        self.results = [result for result in found if not isinstance(result, str)]

    @property
    def path(self) -> PurePosixPath:
        """Path of the results below the format's folder."""
        return PurePosixPath("data", COLLECTION, self.model.developer, self.model.name, f"{self.uuid}.json")

    @property
    def items_path(self) -> PurePosixPath:
        """Path of the items below the format's folder."""
        return self.path.with_name(f"{self.uuid}_samples.jsonl")

    def content(self, items: bytes) -> dict[str, Any]:
        """The file's JSON values, with `items` named by path, length and digest if there are any."""
        last = self.cases[-1].record
        found: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "evaluation_id": self.id,
            "evaluation_timestamp": epoch(self.record),
            "retrieved_timestamp": str(float(epoch(last)) + last.timing.duration_s),
            "source_metadata": self._source(),
            "eval_library": {
                "name": "lm_eval",
                "version": self.record.done_key.lm_eval,
                "additional_details": as_texts({"suite": SUITE, "suite_commit": self.record.environment.git_commit}),
            },
            "model_info": self._model_info(),
            "evaluation_results": self.results,
        }
        if items:
            found["detailed_evaluation_results"] = {
                "format": "jsonl",
                "file_path": str(self.items_path),
                "hash_algorithm": "sha256",
                "checksum": hashlib.sha256(items).hexdigest(),
                "total_rows": items.count(b"\n"),
            }
        return found

    def _source(self) -> dict[str, Any]:
        """Who evaluated: the first party is the model's own developer; with a model of no hub nobody can tell."""
        given, developer = self.organization, self.model.developer
        if self.model.source is None or given is None:
            relationship = "other"
        else:
            relationship = "first_party" if given.casefold() == developer.casefold() else "third_party"
        return {
            "source_name": SUITE,
            "source_type": "evaluation_run",
            "source_organization_name": given or "unknown",
            "evaluator_relationship": relationship,
        }

    def _model_info(self) -> dict[str, Any]:
        record = self.record
        key, pruning, environment = record.done_key, record.pruning, record.environment
        details = {
            "unpruned_model": self.model.source,
            "unpruned_model_version": key.model_version,
            "level": record.case.level,
            "checkpoint_of": record.case.baseline,
            "checkpoint_of_level": record.case.baseline_level,
            "control": record.case.control.value if record.case.control else None,
            "pruned_percent": None if record.case.baseline else pruning.percent,
            "pruning_method": pruning.method,
            "divisor": pruning.divisor,
            "pruned_layers": pruning.pruned_layers,
            "width": pruning.width,
            "expansion_ratio": pruning.expansion_ratio,
            "parameters": pruning.parameters,
            "unpruned_parameters": None if record.case.baseline else pruning.unpruned_parameters,
            "dtype": environment.dtype,
            "weights": record.weights,
            "device": environment.processor,
            "deployment_type": "self_deployed",
            "model_availability": "open_weights" if self.model.source else "unknown",
        }
        return {
            "name": self.model.name,
            "id": self.model.id,
            "developer": self.model.developer,
            "inference_engine": {"name": "transformers", "version": environment.versions["transformers"]},
            "additional_details": as_texts(details),
        }


def _limit_text(limit: int | None) -> str | None:
    return None if limit is None else f"limit{limit}"


def _begun(case: ScoredCase) -> tuple[str, str]:
    return case.record.timing.started_at, case.name
