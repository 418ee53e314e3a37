"""The README says what is so: its file tree, its options, its table."""

import re
from pathlib import Path

import pytest

from glu_lib.analysis import conclude, headline_tables
from glu_lib.report import markdown_table

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def tree() -> set[str]:
    """Paths of the README's file tree below glu_lib/, from its indentation."""
    block = README.split("    glu_lib/\n")[1].split("\n    tests/")[0]
    folders: list[str] = []
    paths = set()
    for line in block.splitlines():
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2 - 3
        folders[depth:] = [name.rstrip("/")]
        paths.add("/".join(folders))
        assert len(line.split()) > 2, f"{name} has no purpose in the README's tree"
    return paths


def test_the_file_tree_names_every_module_and_nothing_else():
    library = ROOT / "glu_lib"
    modules = {path.relative_to(library).as_posix() for path in library.rglob("*.py") if path.name != "__init__.py"}
    modules = {path for path in modules if "/tasks/" not in path}
    assert {path for path in tree() if path.endswith(".py")} == modules
    assert all((library / path).exists() for path in tree())


def test_the_table_is_made_from_the_committed_records():
    shown = README.split("results/measured/nano -->\n")[1].split("<!-- end of table -->")[0]
    tables = headline_tables(conclude(ROOT / "results/measured/nano").rows)
    (table,) = [table for table in tables if table.method == "PPM"]
    assert shown.strip() == markdown_table(table).strip()


def test_the_model_cards_tables_are_made_from_the_committed_records():
    card = (ROOT / "glu_lib/embedded/model/README.md").read_text(encoding="utf-8")
    shown = card.split("results/measured/nano -->\n")[1].split("<!-- end of tables -->")[0]
    tables = headline_tables(conclude(ROOT / "results/measured/nano").rows)
    assert len(tables) == 6
    assert shown.strip() == "\n".join(f"**{table.title}**\n\n{markdown_table(table)}" for table in tables).strip()


@pytest.mark.parametrize(
    "option", re.findall(r"addoption\(\s*\"(--[a-z-]+)\"", (ROOT / "glu_lib/pytest_plugin/options.py").read_text())
)
def test_every_option_is_in_the_readme(option):
    assert f"`{option}" in README
