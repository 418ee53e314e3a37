"""Notes in calls.txt which level is loaded and that tables and report are written, by whatever process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from glu_lib.analysis import write_tables
from glu_lib.report import write_report
from glu_lib.run.preparing import Preparation
from glu_lib.study import ModelVariant
from glu_lib.study.pruning import Pruning


def noted(what: Callable[..., str], real: Callable[..., Any]) -> Callable[..., Any]:
    """`real`, with a line about each call."""

    def call(*arguments: Any, **options: Any) -> Any:
        with Path("calls.txt").open("a") as file:
            file.write(what(*arguments) + "\n")
        return real(*arguments, **options)

    return call


def prepared(_preparation: Preparation, model: ModelVariant, pruning: Pruning) -> str:
    """The line about a level that is loaded."""
    return f"load {model.key}-{pruning.key}"


patch = pytest.MonkeyPatch()  # never undone: the process ends
patch.setattr(Preparation, "prepare", noted(prepared, Preparation.prepare))
tables = "glu_lib.frontends.pytest_plugin.tables"
patch.setattr(f"{tables}.write_tables", noted(lambda *_: "tables", write_tables))
patch.setattr(f"{tables}.write_report", noted(lambda *_, **_options: "report", write_report))
