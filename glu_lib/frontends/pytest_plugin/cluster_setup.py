"""What the workers of a cluster are told at the start of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from glu_lib.cluster import messages
from glu_lib.cluster.earlier_kinds import earlier_kinds
from glu_lib.cluster.messages import Setup
from glu_lib.cluster.slots import Slot
from glu_lib.cluster.terms import Terms
from glu_lib.cluster.turns import Turns, groups_of
from glu_lib.frontends.pytest_plugin.options import EXPERIMENT
from glu_lib.study.cases import Case


def setup_of(config: pytest.Config, cases: Sequence[Case], items: Mapping[str, pytest.Item]) -> Setup:
    """Settings, study and cases of this run, and the words of the command line that shape reports.

    Args:
        config: of the driver.
        cases: the pending cases.
        items: their tests, by id.
    """
    experiment = config.stash[EXPERIMENT]
    calibration = experiment.settings.calibration
    return Setup(
        experiment.settings,
        experiment.study,
        tuple(cases),
        modules=tuple(dict.fromkeys(item.nodeid.partition("::")[0] for item in items.values())),
        identities=experiment.identities.on_hub(),
        calibration=calibration.read_bytes() if calibration else None,
        options=(f"--tb={config.getoption('tbstyle')}", *(["-l"] if config.getoption("showlocals") else [])),
        mail_s=messages.MAIL_S,
    )


def turns_of(config: pytest.Config, cases: Sequence[Case], slots: Sequence[Slot], terms: Mapping[str, Terms]) -> Turns:
    """The groups of `cases`; models with records are bound to the kind of GPU that these name.

    Args:
        config: of the driver.
        cases: the pending cases.
        slots: the places of the workers.
        terms: what the workers said of their machines, by node.
    """
    names = {str(terms[slot.node]["gpu"]): slot.kind for slot in slots if slot.gpus}
    models = dict.fromkeys(case.model.key for case in cases)
    return Turns(groups_of(cases), earlier_kinds(config.stash[EXPERIMENT].store, models, names))
