"""The page on the real model quotes the committed records."""

import json
from pathlib import Path

from committed import concluded

from glu_lib.analysis import headline_tables
from glu_lib.analysis.level_sizes import level_sizes
from glu_lib.report.size_table import size_notes
from glu_lib.study.architecture import format_ratio

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "smollm2_135m_instruct"
PAGE = (ROOT / "docs/real-model.md").read_text(encoding="utf-8")
USUAL = json.loads((ROOT / f"results/measured/{FOLDER}/usual_perplexity.json").read_text(encoding="utf-8"))


def table_of_all_layers():
    """The headline table of levels pruned by PPM on all layers."""
    tables = headline_tables(concluded(FOLDER).rows)
    return next(table for table in tables if table.method == "PPM" and "layers" not in table.title)


def level_lines():
    """The page's table: a line for each level."""
    table = table_of_all_layers()
    usual = {line["percent"]: line["usual"] for line in USUAL["levels"]}
    yield "| level | expansion ratio | parameters | zero-shot mean | WikiText-2, suite | WikiText-2, usual recipe |"
    yield "|---|---|---|---|---|---|"
    for size in level_sizes(table):
        row = table.cells["wikitext2_2048", size.level]
        yield (
            f"| p{row['percent']} | {format_ratio(size.expansion_ratio)} | {size.parameters / 1e6:.0f} M "
            f"| {size.zero_shot_mean:.3f} | {row['value']:,.2f} | {usual[row['percent']]:,.2f} |"
        )
    first = {task: row for (task, level), row in table.cells.items() if level == 0}
    seven = [first[name]["blind"] for name in first["piqa"]["zero_shot_tasks"].split()]
    yield f"| blind | – | – | {sum(seven) / 7:.3f} | {first['wikitext2_2048']['blind']:,.2f} | – |"


def test_the_table_is_made_from_the_records():
    shown = PAGE.split("<!-- levels: from the records -->\n")[1].split("<!-- end of levels -->")[0]
    assert shown.strip().splitlines() == list(level_lines())


def test_the_suite_gives_the_usual_recipes_perplexity():
    values = {row["percent"]: row["value"] for row in concluded(FOLDER).rows if row["subject"] == "wikitext2_2048"}
    assert len(USUAL["levels"]) == 7
    for line in USUAL["levels"]:
        assert abs(line["usual"] / values[line["percent"]] - 1) < 4e-7


def test_what_the_page_says_of_the_levels_is_so():
    found = concluded(FOLDER).rows
    value = {
        (row["subject"], row["case"].split("-", 1)[1].rsplit("-", 1)[0]): row["value"]
        for row in found
        if row["is_headline"]
    }
    said = " ".join(PAGE.split())
    sizes = {size.level: size.zero_shot_mean for size in level_sizes(table_of_all_layers())}
    assert f"falls from {sizes[0]:.3f} to {sizes[60]:.3f}" in said
    lambada = [value["lambada_openai", level] for level in ("p0", "p5", "p5-layers1uponly")]
    assert f"perplexity rises from {lambada[0]:.0f} to {lambada[1]:,.0f}" in said
    assert f"5 % give {lambada[2]:.0f} on LAMBADA" in said
    windows = [value["wikitext2_2048", level] for level in ("p0", "p5")]
    assert f"WikiText-2's from {windows[0]:.0f} to {windows[1]:.0f}" in said
    truth = [value["truthfulqa_mc2", level] for level in ("p0", "p60")]
    assert f"rises** from {truth[0]:.3f} to {truth[1]:.3f}" in said
    blind = {row["subject"]: row for row in found if row["is_headline"] and row["percent"] == 0}
    assert f"Equal probabilities give {blind['truthfulqa_mc2']['blind']:.3f}" in said
    without = [name for name in blind if blind[name]["is_blind"] and name in blind["piqa"]["zero_shot_tasks"]]
    assert sorted(without) == ["arc_challenge", "boolq", "openbookqa", "winogrande"]
    seven = [blind[name]["blind"] for name in blind["piqa"]["zero_shot_tasks"].split()]
    assert f"question have a zero-shot mean of {sum(seven) / 7:.3f}**" in said
    assert sizes[5] > sum(seven) / 7 > sizes[10]
    skill = {
        row["subject"]: row["skill"]
        for row in found
        if row["is_headline"] and row["case"].startswith("smolq4-p5-") and row["layers"] is None
    }
    assert f"(skill {skill['lambada_openai']:.2f})" in said
    assert f"(skill {skill['wikitext2_2048']:.2f})" in said
    assert "a random option has 0.357" in said
    notes = " ".join(size_notes(table_of_all_layers()))
    assert f"guessing gets 0.357; the best blind answers get {sum(seven) / 7:.3f}" in notes
