"""The address of a record: everything that a results folder holds of one case has a path that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from glu_lib.results.folder import RECORDS
from glu_lib.study.cases import Case
from glu_lib.study.items import ItemChoice, LimitFrom

SAMPLES = "samples"
LM_EVAL = "lm_eval"
UNFINISHED = "unfinished"  # journals of cases that have no record yet
LEASES = "leases"


@dataclass(frozen=True, slots=True)
class RecordId:
    """A case under a sample limit. A limited run has its own record, so that it never replaces a full result.

    Paths are relative to the results folder. `limit` is None for a case without samples, whatever the run's limit.
    `subset` says which samples, if they are not the first ones (`Items.subset`).
    """

    case: Case
    limit: int | None = None
    subset: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "limit", self.case.limited(self.limit))

    @classmethod
    def of(cls, case: Case, choice: ItemChoice) -> RecordId:
        """The address of `case` in a run that scores these items."""
        found = choice.of(case.subject)
        return cls(case, found.limit, found.subset)

    @property
    def stem(self) -> str:
        """The name of all its files, without their endings: `nano-p40-sums-limit8`, `nano-p40-sums-samples_hard`."""
        if self.subset and self.subset != LimitFrom.SPREAD:
            return f"{self.case.id}-{self.subset}"
        return self.case.id if self.limit is None else f"{self.case.id}-limit{self.limit}{self.subset or ''}"

    @property
    def record(self) -> PurePosixPath:
        """Path of the record."""
        return self._in(RECORDS, ".json")

    @property
    def samples(self) -> PurePosixPath:
        """Path of the samples: one JSON object per line, gzip."""
        return self._in(SAMPLES, ".jsonl.gz")

    @property
    def lm_eval(self) -> PurePosixPath:
        """Folder of the result files in lm-eval's own format."""
        return self._in(LM_EVAL, "")

    @property
    def unfinished(self) -> PurePosixPath:
        """Path of the journal: the answers collected before the record is written."""
        return self._in(UNFINISHED, ".jsonl")

    @property
    def lease(self) -> PurePosixPath:
        """Path of the lease, by which runs that share a folder divide the cases."""
        return PurePosixPath(LEASES, f"{self.stem}.lease")

    def _in(self, tree: str, ending: str) -> PurePosixPath:
        return PurePosixPath(tree, self.case.model.key, self.case.pruning.key, f"{self.stem}{ending}")
