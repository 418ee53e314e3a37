"""The page on the real model quotes the committed records: knowledge and generated answers."""

from real_model_page import PAGE, shown_lines, tables_by_layers

from glu_lib.analysis.power import POWER, smallest_change
from glu_lib.analysis.significance import is_significant
from glu_lib.report import number

KNOWLEDGE = {"mmlu": "MMLU", "leaderboard_musr": "MuSR"}
GENERATED = {"gsm8k": "GSM8K", "gsm8k_chat": "GSM8K, chat", "ifeval": "IFEval", "ifeval_chat": "IFEval, chat"}


def _cell(task, level):
    """All layers → layers 1 to 28; `*` differs significantly from p0."""
    rows = [table.cells[task, level] for table in tables_by_layers()]
    texts = [f"{number.score(row)}{'*' if is_significant(row) else ''}" for row in rows]
    return " → ".join(texts if level else texts[:1])


def score_lines(names):
    """A table of the page: a line for each level, the last one is blind."""
    whole = tables_by_layers()[0]
    yield f"| level | {' | '.join(names.values())} |"
    yield "|" + "---|" * (1 + len(names))
    for level, _ in whole.levels:
        yield f"| p{level} | {' | '.join(_cell(task, level) for task in names)} |"
    yield f"| blind | {' | '.join(number.plain_score(whole.cells[task, 0]['blind']) for task in names)} |"


def test_the_tables_are_made_from_the_records():
    assert shown_lines("knowledge") == list(score_lines(KNOWLEDGE))
    assert shown_lines("answers") == list(score_lines(GENERATED))


def test_what_the_page_says_of_these_tasks_is_so():
    said = " ".join(PAGE.split())
    whole, spared = tables_by_layers()
    rows = [row for table in (whole, spared) for (task, _), row in table.cells.items() if task in KNOWLEDGE | GENERATED]
    assert all(row["is_blind"] for row in rows)
    assert not any(map(is_significant, rows))
    assert {row["n"] for row in rows if row["subject"] in GENERATED} == {50}
    assert f"only a change of {smallest_change(50, 0.2):.2f} is seen with a probability of {100 * POWER:.0f} %" in said
    musr = [whole.cells["leaderboard_musr", level] for level in (0, 60)]
    assert "doubles, from {:.3f} to {:.3f}".format(*(row["value"] for row in musr)) in said
    assert f"on {musr[0]['n']} items" in said
    plain = [whole.cells["ifeval", level] for level in (0, 5)]
    assert "rises from {:.3f} to {:.3f} at p5".format(*(row["value"] for row in plain)) in said
    assert f"{round(50 * plain[0]['empty_share'])} of its 50 plain answers are empty" in said
