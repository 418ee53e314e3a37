"""What the driver of a run and its workers on other machines send each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from glu_lib.models.identity import ModelIdentity
from glu_lib.study import Study
from glu_lib.study.cases import Case
from glu_lib.study.settings import Settings

MAIL_S = 10.0  # between two mails of a case's answers to the driver: a lost machine costs no more than that


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker needs to run any of the pending cases; the same for all workers.

    Attributes:
        settings: of the run; the results folder is replaced by a folder of the worker.
        study: of the run, its models' own shapes included.
        cases: the pending cases.
        modules: the files that declare their tests, relative to the checkout.
        identities: models of a hub, with the commit that the driver found.
        calibration: the text of `--calibration`.
        options: words of pytest's command line that shape its reports.
        mail_s: seconds between two mails of a case's answers.
    """

    settings: Settings
    study: Study
    cases: tuple[Case, ...]
    modules: tuple[str, ...]
    identities: Mapping[str, ModelIdentity] = field(default_factory=dict)
    calibration: bytes | None = None
    options: tuple[str, ...] = ()
    mail_s: float = MAIL_S


@dataclass(frozen=True, slots=True)
class Work:
    """A (model, level) group for one worker.

    Attributes:
        group: key of the (model, level).
        cases: ids of its cases, in their order.
        keys: the driver's done key of each case.
        journals: answers of interrupted runs, by case: whole lines of their journals.
        records: finished records of the level, by path; a worker checks that it prunes the same neurons.
    """

    group: str
    cases: tuple[str, ...]
    keys: Mapping[str, Mapping[str, Any]]
    journals: Mapping[str, bytes] = field(default_factory=dict)
    records: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Idle:
    """The worker has collected its tests, or has ended its group."""


@dataclass(frozen=True, slots=True)
class Started:
    """The worker has begun a case."""

    case_id: str


@dataclass(frozen=True, slots=True)
class Answered:
    """More of the journal of the running case: `data` belongs at `offset` (bytes)."""

    case_id: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Finished:
    """A case has ended: pytest's reports as JSON values, and its files by their path in the results folder."""

    case_id: str
    reports: tuple[dict[str, Any], ...]
    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Broken:
    """The worker's pytest has ended before it was told to; `text` says why in one line."""

    text: str


Event = Idle | Started | Answered | Finished | Broken
