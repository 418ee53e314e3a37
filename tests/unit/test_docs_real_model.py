"""The page on the real model quotes the committed records."""

import json
import statistics
from pathlib import Path

from committed import concluded

from glu_lib.analysis import headline_tables, workload_tables
from glu_lib.analysis.level_sizes import level_sizes
from glu_lib.report import number
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


def shown_lines(name):
    """The lines of a table of the page that is made from records."""
    return (
        PAGE.split(f"<!-- {name}: from the records -->\n")[1].split(f"<!-- end of {name} -->")[0].strip().splitlines()
    )


AGAINST = json.loads((ROOT / f"results/measured/{FOLDER}/against_lm_eval.json").read_text(encoding="utf-8"))["found"]


def against_lines():
    """The page's comparison with lm-eval: a line for each level."""
    yield "| level | tasks | items | equal prompts | largest difference, log-likelihood | items with another metric |"
    yield "|---|---|---|---|---|---|"
    for percent in dict.fromkeys(line["percent"] for line in AGAINST):
        mine = [line for line in AGAINST if line["percent"] == percent]
        items, equal, differing = (
            sum(line[name] for line in mine) for name in ("items", "prompts_equal", "metrics_differ")
        )
        largest = max(line["largest_difference"] for line in mine)
        yield f"| p{percent} | {len(mine)} | {items} | {equal} | {largest:.1e} | {differing} |"


def test_the_comparison_with_lm_eval_is_the_committed_one():
    assert shown_lines("against lm_eval") == list(against_lines())
    assert {line["percent"] for line in AGAINST} == {0, 40}
    assert all(line["prompts_equal"] == line["items"] and not line["metrics_differ"] for line in AGAINST)


def energy_lines():
    """The page's energy table: a line for each workload."""
    tables = {
        next(iter(table.cells.values()))["metric"]: table
        for table in workload_tables(concluded("cpu_energy").rows)
        if table.model == "smolq4" and "gross" not in table.figure
    }
    assert all(row["energy_quality"] == "estimated" for row in tables["J"].cells.values())
    yield "| workload | tokens/s, p0 | tokens/s, p40 | J per token, net, p0 | J per token, net, p40 |"
    yield "|---|---|---|---|---|"
    for task in tables["J"].tasks:
        cells = [tables[unit].cells[task, level] for unit in ("tokens/s", "J") for level in (0, 40)]
        texts = [" ".join(filter(None, (number.score(row), _in_brackets(number.change(row))))) for row in cells]
        yield f"| {task} | {' | '.join(texts)} |"


def _in_brackets(text):
    return f"({text})" if text else ""


def test_the_energy_table_is_made_from_the_records():
    assert shown_lines("energy") == list(energy_lines())
    parameters = {row["percent"]: row["parameters"] for row in concluded("cpu_energy").rows if row["model"] == "smolq4"}
    assert f"p40 has {100 * (1 - parameters[40] / parameters[0]):.0f} % fewer parameters" in " ".join(PAGE.split())


PARTS = {
    "eleven short tasks": ("short", ""),
    "WikiText-2 in windows of 2048": ("perplexity", ""),
    "MMLU and MuSR": ("paper", "mmlu leaderboard_musr"),
    "GSM8K, plain and chat": ("", "gsm8k gsm8k_chat"),
    "IFEval, plain and chat": ("", "ifeval ifeval_chat"),
}


def times_lines():
    """The page's table of durations: a line for each part of the study that has records."""
    hours = {}
    for path in sorted((ROOT / f"results/measured/{FOLDER}/individual_files").rglob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        case = record["case"]
        for part, (suite, subjects) in PARTS.items():
            if (case["subject"] in subjects.split()) if subjects else (suite in case["suites"]):
                levels = hours.setdefault(part, {})
                levels[case["level"]] = levels.get(case["level"], 0.0) + record["timing"]["duration_s"] / 3600
    yield "| part | levels | hours | minutes per level, median |"
    yield "|---|---|---|---|"
    for part in filter(hours.get, PARTS):
        taken = list(hours[part].values())
        yield f"| {part} | {len(taken)} | {sum(taken):.1f} | {60 * statistics.median(taken):.0f} |"


def test_the_table_of_times_is_made_from_the_records():
    assert shown_lines("times") == list(times_lines())
