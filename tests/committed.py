"""Conclusions of the committed records: seconds of resampling, so once per process."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from glu_lib.analysis import conclude, headline_tables
from glu_lib.analysis.conclusions import Conclusions
from glu_lib.report import markdown_table

MEASURED = Path(__file__).resolve().parents[1] / "results/measured"


@lru_cache
def concluded(name: str) -> Conclusions:
    """What `results/measured/<name>` says."""
    return conclude(MEASURED / name)


def first_table(page: str) -> tuple[str, str]:
    """The table below a page's line `<!-- the first table of: glu table DIR --task … -->`: shown, and as made."""
    words, rest = page.split("<!-- the first table of: ", 1)[1].split(" -->\n", 1)
    _, _, folder, *options = words.split()
    tasks = [word for word in options if word != "--task"]
    whole = next(table for table in headline_tables(concluded(Path(folder).name).rows) if table.family.is_main)
    some = whole.with_tasks(tasks)
    assert list(some.tasks) == tasks
    return rest.split("<!-- end of table -->", 1)[0].strip(), markdown_table(some).strip()
