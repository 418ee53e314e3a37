"""The page on the real model, and the tables of its study."""

from pathlib import Path

from committed import concluded

from glu_lib.analysis import headline_tables
from glu_lib.analysis.headline import HeadlineTable

FOLDER = "smollm2_135m_instruct"
PAGE = (Path(__file__).resolve().parents[1] / "docs/real-model.md").read_text(encoding="utf-8")


def shown_lines(name: str) -> list[str]:
    """The lines of a table of the page that is made from records."""
    return (
        PAGE.split(f"<!-- {name}: from the records -->\n")[1].split(f"<!-- end of {name} -->")[0].strip().splitlines()
    )


def table_of_all_layers() -> HeadlineTable:
    """The headline table of levels pruned by PPM on all layers."""
    tables = headline_tables(concluded(FOLDER).rows)
    return next(table for table in tables if table.method == "PPM" and "layers" not in table.title)


def tables_by_layers() -> list[HeadlineTable]:
    """The headline tables of all layers and of layers 1 to 28."""
    tables = [table for table in headline_tables(concluded(FOLDER).rows) if table.method == "PPM"]
    return [next(table for table in tables if table.layers == layers) for layers in (None, "1-28")]
