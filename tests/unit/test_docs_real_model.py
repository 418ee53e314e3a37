"""The page on the real model quotes the committed records."""

import gzip
import json
import math
import statistics
from functools import lru_cache
from pathlib import Path

from committed import concluded
from real_model_page import FOLDER, PAGE, shown_lines, table_of_all_layers, tables_by_layers

from glu_lib.analysis import workload_tables
from glu_lib.analysis.level_sizes import level_sizes
from glu_lib.analysis.significance import is_significant
from glu_lib.analysis.two_levels import two_levels
from glu_lib.report import number
from glu_lib.report.size_table import size_notes
from glu_lib.results.store import Store
from glu_lib.study.architecture import format_ratio

ROOT = Path(__file__).resolve().parents[2]
USUAL = json.loads((ROOT / f"results/measured/{FOLDER}/usual_perplexity.json").read_text(encoding="utf-8"))


# The tasks that both layer sets have at each level; WikiText in words has too few documents for a test.
TESTED = (
    *("arc_challenge", "arc_easy", "boolq", "hellaswag", "lambada_openai", "openbookqa", "piqa"),
    *("truthfulqa_mc1", "truthfulqa_mc2", "wikitext2_2048", "winogrande"),
)


def level_lines():
    """The page's table: a line for each level."""
    table = table_of_all_layers()
    usual = {line["percent"]: line["usual"] for line in USUAL["levels"]}
    yield "| level | expansion ratio | parameters | zero-shot mean | WikiText-2, suite | WikiText-2, usual recipe |"
    yield "|---|---|---|---|---|---|"
    sizes = level_sizes(table)
    for size in sizes:
        removed = f" ({number.percent(100 * (size.parameters / sizes[0].parameters - 1))})" if size.level else ""
        row = table.cells["wikitext2_2048", size.level]
        yield (
            f"| p{row['percent']} | {format_ratio(size.expansion_ratio)} | {size.parameters / 1e6:.0f} M{removed} "
            f"| {size.zero_shot_mean:.3f} | {row['value']:,.2f} | {usual[row['percent']]:,.2f} |"
        )
    first = {task: row for (task, level), row in table.cells.items() if level == 0}
    seven = [first[name]["blind"] for name in first["piqa"]["zero_shot_tasks"].split()]
    yield f"| blind | – | – | {sum(seven) / 7:.3f} | {first['wikitext2_2048']['blind']:,.2f} | – |"


SPARED = "layers1to28only"


@lru_cache
def beside_all_layers(percent):
    """Each task at a level of layers 1 to 28, beside the same level of all layers."""
    store = Store(ROOT / f"results/measured/{FOLDER}")
    found = two_levels(concluded(FOLDER).rows, store, f"smolq4-p{percent}-{SPARED}", f"smolq4-p{percent}", tasks=TESTED)
    return {item.task: item for item in found}


def layer_lines():
    """The page's table of two layer sets: a line for each level."""
    yield ("| level | parameters | zero-shot mean | LAMBADA, perplexity | WikiText-2 | better with 1–28 | worse |")
    yield "|---|---|---|---|---|---|---|"
    whole, spared = tables_by_layers()
    sizes = [{size.level: size for size in level_sizes(table)} for table in (whole, spared)]
    for level in sizes[1]:
        if level == 0:
            continue
        both = [found[level] for found in sizes]
        pairs = [
            [table.cells[task, level]["value"] for table in (whole, spared)]
            for task in ("lambada_openai", "wikitext2_2048")
        ]
        found = [item for item in beside_all_layers(level).values() if item.is_significant]
        better = ", ".join(item.task for item in found if item.is_better)
        worse = ", ".join(item.task for item in found if not item.is_better)
        yield (
            f"| p{level} | {both[0].parameters / 1e6:.0f} M → {both[1].parameters / 1e6:.0f} M "
            f"| {both[0].zero_shot_mean:.3f} → {both[1].zero_shot_mean:.3f} "
            + "".join(f"| {all_layers:,.0f} → {some:,.0f} " for all_layers, some in pairs)
            + f"| {better or '–'} | {worse or '–'} |"
        )


def test_the_table_of_layer_sets_is_made_from_the_records():
    assert shown_lines("layer sets") == list(layer_lines())


def test_what_the_page_says_of_the_layer_sets_is_so():
    whole, spared = tables_by_layers()
    said = " ".join(PAGE.split())
    text = {
        level: [table.cells["wikitext2_2048", level]["value"] for table in (whole, spared)]
        for level in (5, 10, 20, 30, 40, 60)
    }
    unigram = whole.cells["wikitext2_2048", 0]["blind"]
    assert f"p30 predicts WikiText-2 with a perplexity of {text[30][1]:.0f} in place of {text[30][0]:,.0f}" in said
    assert f"unigram model's perplexity of {unigram:,.0f} at every level" in said
    assert all(some < unigram for _, some in text.values())
    assert [level for level, (every, _) in text.items() if every > unigram] == [40, 60]
    significant = {
        (item.task, level) for level in text for item in beside_all_layers(level).values() if item.is_significant
    }
    choices = {found for found in significant if found[0] not in ("lambada_openai", "wikitext2_2048")}
    assert choices == {("piqa", 10)}
    assert "of nine tasks at six levels only PIQA at p10 differs significantly" in said
    sizes = [{size.level: size.parameters / 1e6 for size in level_sizes(table)} for table in (whole, spared)]
    assert f"p30 has {sizes[1][30]:.0f} instead of {sizes[0][30]:.0f} million parameters" in said
    (scan,) = (scan for scan in concluded(FOLDER).scans if scan.method == "PPM")
    assert f"multiplies the perplexity of the scan's text by {math.exp(scan.layers[0].harm):.1f}" in said
    assert scan.recommended == "1-28"
    factors = [math.exp(step.measured - scan.unpruned) for step in scan.steps[1:3]]
    assert f"All layers multiply it by {math.exp(scan.pruned - scan.unpruned):.1f}, all but layer 0 by" in said
    assert "all but layer 0 by {:.2f}, layers 1 to 28 by {:.2f};".format(*factors) in said


def test_the_table_is_made_from_the_records():
    shown = PAGE.split("<!-- levels: from the records -->\n")[1].split("<!-- end of levels -->")[0]
    assert shown.strip().splitlines() == list(level_lines())


def test_the_suite_gives_the_usual_recipes_perplexity():
    found = [row for row in concluded(FOLDER).rows if row["subject"] == "wikitext2_2048" and row["layers"] is None]
    values = {row["percent"]: row["value"] for row in found}
    assert len(USUAL["levels"]) == 7
    for line in USUAL["levels"]:
        assert abs(line["usual"] / values[line["percent"]] - 1) < 4e-7


def _is_of_the_mean(row, percent):
    is_mine = row["kind"] == "accuracy" and row["is_headline"] and (row["percent"], row["layers"]) == (percent, None)
    return is_mine and row["method"] in (None, "PPM") and row["subject"] in row["zero_shot_tasks"].split()


def uniform_of(task):
    """The score of equally probable options, from the samples of p0."""
    (path,) = (ROOT / f"results/measured/{FOLDER}/samples/smolq4/p0").glob(f"smolq4-p0-{task}.*")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return statistics.fmean(json.loads(line)["controls"]["uniform"] for line in file)


def test_what_the_page_says_of_the_levels_is_so():
    found = concluded(FOLDER).rows
    value = {
        (row["subject"], row["case"].split("-", 1)[1].rsplit("-", 1)[0]): row["value"]
        for row in found
        if row["is_headline"]
    }
    said = " ".join(PAGE.split())
    sizes = {size.level: size.zero_shot_mean for size in level_sizes(table_of_all_layers())}
    errors = {
        percent: 1.96 * math.hypot(*(row["stderr"] for row in found if _is_of_the_mean(row, percent))) / 7
        for percent in sizes
    }
    assert all(abs(error - 0.025) < 0.001 for error in errors.values())
    assert "interval of about ±0.025" in said
    lambada = [value["lambada_openai", level] for level in ("p0", "p5")]
    assert f"perplexity rises from {lambada[0]:.0f} to {lambada[1]:,.0f}" in said
    windows = [value["wikitext2_2048", level] for level in ("p0", "p5")]
    assert f"WikiText-2's from {windows[0]:.0f} to {windows[1]:.0f}" in said
    truth = [value["truthfulqa_mc2", level] for level in ("p0", "p60")]
    assert f"up, from {truth[0]:.3f} to {truth[1]:.3f}**" in said
    assert not any(map(is_significant, (row for row in found if row["subject"] == "truthfulqa_mc2")))
    assert f"one to which every option is gets {uniform_of('truthfulqa_mc2'):.3f}" in said
    blind = {row["subject"]: row for row in found if row["is_headline"] and row["percent"] == 0}
    assert f"equally probable gets {blind['truthfulqa_mc2']['blind']:.3f}" in said
    without = [name for name in blind if blind[name]["is_blind"] and name in blind["piqa"]["zero_shot_tasks"]]
    assert sorted(without) == ["arc_challenge", "boolq", "openbookqa", "winogrande"]
    seven = [blind[name]["blind"] for name in blind["piqa"]["zero_shot_tasks"].split()]
    assert f"do not follow the question have {sum(seven) / 7:.3f}" in said
    blind_mean = sum(seven) / 7
    assert f"unpruned model lies {sizes[0] - blind_mean:.3f} above it" in said
    assert sizes[0] - errors[0] > blind_mean
    assert [percent for percent in sizes if sizes[percent] + errors[percent] < blind_mean] == [30, 40, 60]
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


AGAINST = json.loads((ROOT / f"results/measured/{FOLDER}/against_lm_eval.json").read_text(encoding="utf-8"))["found"]


def against_lines():
    """The page's comparison with lm-eval: a line for each level."""
    yield "| level | tasks | items | equal prompts | largest difference, log-likelihood | items whose score differs |"
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
        if table.model == "smolq4" and "net of" not in table.figure
    }
    assert all(row["energy_quality"] == "estimated" for row in tables["J"].cells.values())
    yield "| workload | tokens/s, p0 | tokens/s, p40 | J per token, p0 | J per token, p40 |"
    yield "|---|---|---|---|---|"
    for task in tables["J"].tasks:
        cells = [tables[unit].cells[task, level] for unit in ("tokens/s", "J") for level in (0, 40)]
        texts = [" ".join(filter(None, (number.score(row), _in_brackets(number.change(row))))) for row in cells]
        yield f"| {task} | {' | '.join(texts)} |"


def power_range():
    """The lowest and highest estimated power of a workload: joules per token times tokens per second."""
    mean = {
        (row["case"], row["metric"]): row["value"] for row in concluded("cpu_energy").rows if row["model"] == "smolq4"
    }
    cases = dict.fromkeys(case for case, _ in mean)
    watts = [mean[case, "energy_per_token_j"] * mean[case, "tokens_per_s"] for case in cases]
    return f"{min(watts):.1f} to {max(watts):.1f}"


def processors():
    """The processors of the records, as the page names them."""
    files = (ROOT / f"results/measured/{FOLDER}/individual_files").rglob("*.json")
    return " and ".join(sorted({json.loads(path.read_text(encoding="utf-8"))["environment"]["cpu"] for path in files}))


def _are_apart(one, other):
    return one[1] < other[0] or other[1] < one[0]


def _in_brackets(text):
    return f"({text})" if text else ""


def test_the_energy_table_is_made_from_the_records():
    assert shown_lines("energy") == list(energy_lines())
    rows = [row for row in concluded("cpu_energy").rows if row["model"] == "smolq4"]
    interval = {
        (row["subject"], row["metric"], row["percent"]): (row["interval_low"], row["interval_high"]) for row in rows
    }
    faster = {
        metric: {
            task
            for task, name, percent in interval
            if name == metric and percent == 0
            if _are_apart(interval[task, metric, 0], interval[task, metric, 40])
        }
        for metric in ("tokens_per_s", "energy_per_token_j")
    }
    assert all(found == {"hellaswag_latency_b1", "ifeval_latency_b1"} for found in faster.values())
    assert "only the workloads `hellaswag_latency_b1` and `ifeval_latency_b1` have them apart" in " ".join(PAGE.split())
    parameters = {row["percent"]: row["parameters"] for row in rows}
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
    yield "| part | levels, layer sets and random draws | hours | minutes for each, median |"
    yield "|---|---|---|---|"
    for part in filter(hours.get, PARTS):
        taken = list(hours[part].values())
        yield f"| {part} | {len(taken)} | {sum(taken):.1f} | {60 * statistics.median(taken):.0f} |"


def test_the_table_of_times_is_made_from_the_records():
    assert shown_lines("times") == list(times_lines())
    assert f"Processors: {processors()}.\n" in PAGE
