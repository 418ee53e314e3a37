"""The name of a record's model in other projects' files: its hub id, or a name that tells nothing of the machine."""

from __future__ import annotations

from dataclasses import dataclass

from glu_lib.report.formats.exporting import checked_name
from glu_lib.results.records import Record

EMBEDDED = "embedded"  # source of the model that ships with the package
SUITE = "glu-width-bench"
_HUB = "commit:"  # beginning of the version of a model of the hub
_UNPRUNED = "p0"


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """A model as other projects name it: `developer/name`.

    `source` is the hub id of the unpruned model, None for a folder or the embedded model, whose path is nobody else's
    business.
    """

    developer: str
    name: str
    source: str | None

    @property
    def id(self) -> str:
        """Developer and name, as the hub writes them."""
        return f"{self.developer}/{self.name}"

    @property
    def url(self) -> str | None:
        """Page of the unpruned model on the hub; None if it is not there."""
        return f"https://huggingface.co/{self.source}" if self.source else None


def unpruned_model(record: Record) -> ExportedModel:
    """The model that the record's level was pruned from.

    A model of the hub has its hub id; the embedded one is the suite's; a folder is `local` with the study's key.

    Raises:
        ValueError: if its names cannot be names of files.
    """
    key, source = record.case.model, record.done_key.model
    if record.done_key.model_version.startswith(_HUB):
        developer, _, name = source.rpartition("/")
        return ExportedModel(checked_name(developer or source), checked_name(name), source)
    return ExportedModel(SUITE if source == EMBEDDED else "local", checked_name(key), None)


def exported_model(record: Record) -> ExportedModel:
    """The model that was scored: the unpruned one's name, and the level's key if it is another level.

    Raises:
        ValueError: if its names cannot be names of files.
    """
    found, level = unpruned_model(record), record.case.level
    if level == _UNPRUNED:
        return found
    return ExportedModel(found.developer, checked_name(f"{found.name}-{level}"), found.source)
