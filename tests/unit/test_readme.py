"""The README is short, and its table is made from the committed records; so are the model card's."""

from pathlib import Path

from committed import concluded

from glu_lib.analysis import headline_tables
from glu_lib.analysis.published.blind import published_controls
from glu_lib.report import markdown_table

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHOWN_LEVELS = ("p0", "p20", "p40", "p60")


def test_it_can_be_read_in_five_minutes():
    assert len(README.splitlines()) <= 150


def test_the_table_is_made_from_the_committed_records():
    shown = README.split("results/measured/nano -->\n")[1].split("<!-- end of table -->")[0]
    tables = headline_tables(concluded("nano").rows)
    (table,) = [table for table in tables if table.method == "PPM"]
    lines = markdown_table(table).strip().splitlines()
    levels = [line for line in lines if line.startswith("| p")]
    left_out = [line for line in levels if line.split(" | ")[0].removeprefix("| ") not in SHOWN_LEVELS]
    assert shown.strip().splitlines() == [line for line in lines if line not in left_out]


def test_the_model_cards_tables_are_made_from_the_committed_records():
    card = (ROOT / "glu_lib/nano/model/README.md").read_text(encoding="utf-8")
    shown = card.split("results/measured/nano -->\n")[1].split("<!-- end of tables -->")[0]
    tables = headline_tables(concluded("nano").rows)
    assert len(tables) == 6
    assert shown.strip() == "\n".join(f"**{table.title}**\n\n{markdown_table(table)}" for table in tables).strip()


def test_the_full_stops_score_is_the_committed_one():
    score = published_controls()["ifeval"].scores["full stop"]
    assert f'the answer "." to every prompt scores {score:.3f}' in " ".join(README.split())
