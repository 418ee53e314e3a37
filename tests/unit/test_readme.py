"""The README is short, and its table is made from the committed records; so are the model card's."""

from pathlib import Path

from committed import concluded, first_table

from glu_lib.analysis import headline_tables
from glu_lib.analysis.published.blind import published_controls
from glu_lib.report import markdown_table
from glu_lib.report.figures.skill import skill_figures

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_can_be_read_in_five_minutes():
    assert len(README.splitlines()) <= 150


def test_the_table_is_made_from_the_committed_records():
    shown, made = first_table(README)
    assert shown == made


def test_the_figure_is_that_of_the_committed_records():
    (place,) = [Path(words.split("](")[1].split(")")[0]) for words in README.split("![")[1:]]
    assert (ROOT / place).is_file()
    assert place.parts[:3] == ("results", "measured", "smollm2_135m_instruct")
    figure = next(
        item for item in skill_figures(headline_tables(concluded(place.parts[2]).rows)) if item.id == place.stem
    )
    drawn = (ROOT / place).read_text(encoding="utf-8")
    assert "2.4x, published study" in drawn
    names = ("task", "metric", "level")
    marks = ["; ".join(f"{name}: {cell}" for name, cell in zip(names, row, strict=False)) for row in figure.rows]
    shown = [
        f"skill: {row[figure.columns.index('skill')]:.6g}; {mark}; ".replace("-", "−")
        for row, mark in zip(figure.rows, marks, strict=True)
    ]
    assert {mark for mark in shown if mark not in drawn} == set()


def test_the_model_cards_tables_are_made_from_the_committed_records():
    card = (ROOT / "glu_lib/nano/model/README.md").read_text(encoding="utf-8")
    shown = card.split("results/measured/nano -->\n")[1].split("<!-- end of tables -->")[0]
    tables = headline_tables(concluded("nano").rows)
    assert len(tables) == 6
    assert shown.strip() == "\n".join(f"**{table.title}**\n\n{markdown_table(table)}" for table in tables).strip()


def test_the_full_stops_score_is_the_committed_one():
    score = published_controls()["ifeval"].scores["full stop"]
    assert f'the answer "." to every prompt scores {score:.3f}' in " ".join(README.split())
