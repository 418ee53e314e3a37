"""The README says what is so: its file tree, its options, its table."""

import re
from pathlib import Path

import pytest

from glu_lib.analysis import conclude, headline_tables
from glu_lib.report import markdown_table

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_is_made_from_the_committed_records():
    shown = README.split("results/measured/nano -->\n")[1].split("<!-- end of table -->")[0]
    tables = headline_tables(conclude(ROOT / "results/measured/nano").rows)
    (table,) = [table for table in tables if table.method == "PPM"]
    assert shown.strip() == markdown_table(table).strip()


def test_the_model_cards_tables_are_made_from_the_committed_records():
    card = (ROOT / "glu_lib/nano/model/README.md").read_text(encoding="utf-8")
    shown = card.split("results/measured/nano -->\n")[1].split("<!-- end of tables -->")[0]
    tables = headline_tables(conclude(ROOT / "results/measured/nano").rows)
    assert len(tables) == 6
    assert shown.strip() == "\n".join(f"**{table.title}**\n\n{markdown_table(table)}" for table in tables).strip()


@pytest.mark.parametrize(
    "option",
    re.findall(r"addoption\(\s*\"(--[a-z-]+)\"", (ROOT / "glu_lib/frontends/pytest_plugin/options.py").read_text()),
)
def test_every_option_is_in_the_readme(option):
    assert f"`{option}" in README
