"""The page on the real model sets PPM beside random selection, as the committed records do."""

from committed import concluded
from real_model_page import FOLDER, shown_lines, table_of_all_layers

from glu_lib.report import number
from glu_lib.report.random_floor import verdict_listing

LEVELS = (10, 20, 40)


def compared():
    """PPM on all layers beside random selection, by level and task."""
    found = [item for item in concluded(FOLDER).against_random if item.method == "PPM" and item.layers is None]
    return {(item.percent, item.task): item for item in found}


def random_lines():
    """The page's table, `glu methods` with tasks in rows: two columns for each level, the last row is the verdict."""
    found = verdict_listing(list(compared().values()))
    _, _, _, _, *tasks, verdict = found.columns
    unpruned = {task: row for (task, level), row in table_of_all_layers().cells.items() if level == 0}
    yield f"| task | p0 | {' | '.join(f'p{percent}, PPM | p{percent}, random' for percent in LEVELS)} |"
    yield "|" + "---|" * (2 + 2 * len(LEVELS))
    first = [*(number.plain_score(unpruned[task]["value"]) for task in tasks), "–"]
    for name, *cells in zip((*tasks, verdict), first, *(row[4:] for row in found.rows), strict=True):
        yield f"| {' | '.join((name, *(cell or '–' for cell in cells)))} |"


def test_the_table_is_made_from_the_records():
    assert shown_lines("random") == list(random_lines())


def test_each_level_has_three_draws_in_eleven_tasks():
    found = compared()
    assert {item.seeds for item in found.values()} == {3}
    assert sorted({percent for percent, _ in found}) == list(LEVELS)
    assert len(found) == len(LEVELS) * 11
