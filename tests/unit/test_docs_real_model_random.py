"""The page on the real model sets PPM beside random selection, as the committed records do."""

from committed import concluded
from real_model_page import FOLDER, PAGE, shown_lines, table_of_all_layers

from glu_lib.analysis.random_floor import Verdict
from glu_lib.analysis.significance import holm
from glu_lib.report import number
from glu_lib.report.random_floor import verdict_listing

LEVELS = (10, 20, 40)


def compared():
    """PPM on all layers beside random selection, by level and task."""
    found = [item for item in concluded(FOLDER).against_random if item.method == "PPM" and item.layers is None]
    return {(item.percent, item.task): item for item in found}


def random_lines():
    """The page's table, `glu methods` with tasks in rows: two columns for each level, the last row is the verdict.

    Beside p0 stands its blind score.
    """
    found = verdict_listing(list(compared().values()))
    _, _, _, _, *tasks, verdict = found.columns
    unpruned = {task: row for (task, level), row in table_of_all_layers().cells.items() if level == 0}
    yield f"| task | p0 | blind | {' | '.join(f'p{percent}, PPM | p{percent}, random' for percent in LEVELS)} |"
    yield "|" + "---|" * (3 + 2 * len(LEVELS))
    first, floor = ([*(number.plain_score(unpruned[task][name]) for task in tasks), "–"] for name in ("value", "blind"))
    for name, *cells in zip((*tasks, verdict), first, floor, *(row[4:] for row in found.rows), strict=True):
        yield f"| {' | '.join((name, *(cell or '–' for cell in cells)))} |"


def test_the_table_is_made_from_the_records():
    assert shown_lines("random") == list(random_lines())


def test_each_level_has_three_draws_in_eleven_tasks():
    found = compared()
    assert {item.seeds for item in found.values()} == {3}
    assert sorted({percent for percent, _ in found}) == list(LEVELS)
    assert len(found) == len(LEVELS) * 11


def test_what_the_page_says_of_random_selection_is_so():
    said, found = " ".join(PAGE.split()), compared()
    tested = {key: item.p_holm for key, item in found.items() if item.p_holm is not None}
    assert {item.verdict for item in found.values()} == {Verdict.UNDECIDED}
    assert [sum(percent == level for percent, _ in tested) for level in LEVELS] == [10] * 3
    assert {task for _, task in found.keys() - tested.keys()} == {"wikitext"}
    assert min(tested, key=tested.get) == (10, "lambada_openai")
    assert f"the smallest p is {min(tested.values()):.2f}, that of LAMBADA at p10" in said
    lambada, text = found[10, "lambada_openai"], found[10, "wikitext"]
    assert f"perplexity is {lambada.value:,.0f} beside {lambada.random_high:.0f} of the worst draw" in said
    assert f"WikiText's {text.value:.0f} beside {text.random_high:.0f}." in said
    three = holm([found[10, task].p for task in ("lambada_openai", "piqa", "arc_easy")])
    assert "ARC easy alone, p is {:.2g}, {:.2g} and {:.2g}: worse than random in LAMBADA".format(*three) in said
    last = found[40, "lambada_openai"]
    ends = [f"{value:.1e}" for value in (last.value, last.random_low, last.random_high)]
    assert "perplexity of {} lies below that of all draws, {} to {}".format(*ends) in said
    unigram = table_of_all_layers().cells["lambada_openai", 0]["blind"]
    assert unigram < last.value
    assert f"all are worse than the unigram model's {unigram:.1e}." in said
    middle = found[20, "lambada_openai"]
    assert f"differ by a factor of {middle.random_high / middle.random_low:.0f};" in said
