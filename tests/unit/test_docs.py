"""The documentation says what is so: reference pages, paths, links, figures."""

import gzip
import importlib.util
import json
import pkgutil
import re
from pathlib import Path

import pytest
from committed import concluded, first_table

from glu_lib.analysis.columns import COLUMNS
from glu_lib.analysis.power import items_needed, smallest_change
from glu_lib.analysis.published.blind import Verdict, against_blind_score, beside_blind, published_controls
from glu_lib.analysis.published.comparison import published_rows
from glu_lib.report.alignment_table import ALIGNMENT_COLUMNS, alignment_tables
from glu_lib.report.blind_answers import blind_answers
from glu_lib.results.record import read_record
from glu_lib.results.records.values import Part
from glu_lib.study import STUDY, load_study
from glu_lib.study.cases import CaseKind

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("[!_]*.md"), *(ROOT / "docs").glob("[!_]*/*.md")])
WRITTEN = [page for page in PAGES if page.parent.name != "reference" and page.name != "CHANGELOG.md"]
_IN_RECORDS = [*(ROOT / "results/measured").rglob("individual_files/**/*.json")]
_ALIGNMENT_SHOWN = (
    *("level", "width", "aligned width", "aligned / plain", "parameters, aligned / plain"),
    *("plain / unpruned", "aligned / unpruned"),
)


def _alignment_pairs():
    return concluded("cpu_alignment").aligned_pairs


def _generate():
    return _load("docs/generate.py")


def _load(path):
    specification = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_reference_pages_are_current():
    pages = _generate().pages()
    found = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs/reference").iterdir()}
    assert found == pages, "run: python docs/generate.py"


def test_modules_and_names_in_docstrings_and_comments_exist():
    rooms = "|".join(path.parent.name for path in (ROOT / "glu_lib").glob("*/__init__.py"))
    name = re.compile(rf"`((?:glu_lib\.)?(?:{rooms})(?:\.\w+)+)`")
    found = {dotted for path in (ROOT / "glu_lib").rglob("*.py") for dotted in name.findall(path.read_text("utf-8"))}
    found = {dotted for dotted in found if not dotted.endswith((".csv", ".json", ".parquet"))}
    assert "analysis.trends.Trend" in found
    assert [dotted for dotted in sorted(found) if not _exists(f"glu_lib.{dotted.removeprefix('glu_lib.')}")] == []


def _exists(dotted):
    """Whether a dotted name leads to a module, or to something in one."""
    try:
        pkgutil.resolve_name(dotted)
    except (ImportError, AttributeError):
        return False
    return True


def _parts(value):
    """A table of a record and all tables in it."""
    if isinstance(value, Part):
        yield value
        value = [getattr(value, name) for name in type(value).model_fields]
    for entry in value if isinstance(value, list) else ():
        yield from _parts(entry)


def test_every_field_of_the_committed_records_is_on_its_type_and_described():
    types = set()
    for file in _IN_RECORDS:
        for part in _parts(read_record(file)):
            assert part.model_extra == {}, (file, type(part), part.model_extra)
            types.add(type(part))
    assert len(types) > 25
    for table in types:
        assert [name for name, field in table.model_fields.items() if not field.description] == []


def test_the_schema_of_records_describes_the_committed_ones():
    schema = json.loads((ROOT / "docs/reference/record.schema.json").read_text(encoding="utf-8"))
    assert set(schema["discriminator"]["mapping"]) == set(CaseKind)


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_that_a_page_names_exist(page):
    named = re.findall(r"`((?:glu_lib|results/measured|benchmarks|tests|docs)/[\w./*-]*)`", page.read_text())
    lost = [path for path in named if "_build" not in path and not list(ROOT.glob(path))]
    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    lost = [link for link in links if ":" not in link and not (page.parent / link).exists()]
    assert lost == []


SCORING = (ROOT / "docs/methods/scoring.md").read_text(encoding="utf-8")


def _measured(name):
    return json.loads((ROOT / f"results/measured/scoring/{name}.json").read_text(encoding="utf-8"))


def test_the_table_of_shapes_is_made_from_the_committed_figures():
    shapes = _measured("shapes")["shapes"].values()
    rows = [
        f"{found['hf']['min_s'] / found['fast']['min_s']:.1f} "
        f"| {found['fast']['forwarded_tokens'] / found['fast']['needed_tokens']:.2f} "
        f"| {found['hf']['peak_bytes'] / 2**30:.1f} GiB, {found['fast']['peak_bytes'] / 2**30:.1f} GiB |"
        for found in shapes
    ]
    shown = SCORING.split("| shape |")[1].split("\n\n")[0].splitlines()[2:]
    assert [line.split(" | ", 1)[1] for line in shown] == rows


def test_the_side_by_side_figures_are_the_committed_ones():
    said = " ".join(SCORING.split())
    (whole,) = _measured("side_by_side")["found"]
    assert f"{whole['lm_eval_s']:.0f} s against {whole['pytest_s']:.0f} s: **{whole['ratio']:.1f} times" in said
    assert f"All {whole['values']} headline values" in said
    assert whole["largest_relative_difference"] < 4e-6
    (three,) = _measured("side_by_side_three_levels")["found"]
    assert f"At three levels: {three['ratio']:.1f} times" in said
    ratios = [found["ratio"] for found in _measured("side_by_side_each")["found"]]
    assert f"{min(ratios):.1f} to {max(ratios):.1f} times faster" in said


def test_the_speed_of_generation_is_the_committed_one():
    found = _measured("side_by_side_real")["found"]
    rows = [
        f"| {task} | {line['lm_eval_s']:.0f} s | {line['pytest_s']:.0f} s | {line['ratio']:.1f} "
        f"| {line['processor_ratio']:.1f} |"
        for line in found
        for task in line["tasks"]
    ]
    assert _between("generated")[2:] == rows
    assert all(line["largest_relative_difference"] == 0 for line in found)


def test_the_speed_of_choices_is_the_committed_one():
    (line,) = _measured("side_by_side_choices")["found"]
    said = " ".join(SCORING.split())
    assert f"{line['lm_eval_s']:.0f} s against {line['pytest_s']:.0f} s, **{line['ratio']:.1f} times faster**" in said
    assert f"({line['processor_ratio']:.1f} in processor time), all {line['values']} headline values" in said
    assert set(line["tasks"].values()) == {50}
    assert len(line["tasks"]) == 10
    assert line["largest_relative_difference"] < 9e-7


def test_the_counted_tokens_are_the_committed_ones():
    counted = {found["task"]: found for found in _measured("tokens")["tasks"]}
    for task, title in (("mmlu", "MMLU five-shot"), ("hellaswag", "HellaSwag"), ("truthfulqa_mc2", "TruthfulQA mc2")):
        (row,) = re.findall(rf"\| {title} \| ([\d.]+) million(?: tokens)? \| ([\d.]+) million \|", SCORING)
        for shown, figure in zip(row, (counted[task]["hflm_tokens"], counted[task]["planned"]), strict=True):
            digits = len(shown.partition(".")[2])
            assert shown == f"{figure / 1e6:.{digits}f}", task


def test_the_decoding_tables_are_made_from_the_committed_figures():
    attention, steps = _measured("decode_attention")["variants"], _measured("decode_step")["steps"]
    lines = ["| one layer | time | keys and values |", "|---|---|---|"]
    lines += [
        f"| {name} | {found['ms']:.1f} ms | {found['cache_bytes'] / 2**20:.1f} MiB |"
        for name, found in attention.items()
    ]
    lines += [
        "",
        "| a decoding step | attention | time | times the floor | products alone | cache |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {found['rows']} rows, {found['cached']} tokens, {found['shared']} shared | {found['attention']} "
        f"| {found['step_s']:.3f} s | {found['times_floor']:.1f} | {found['alone_s']:.3f} s "
        f"| {found['cache_bytes'] / 2**20:.0f} MiB |"
        for found in steps
    ]
    shown = SCORING.split("<!-- decoding tables: from the records -->\n")[1].split("<!-- end of tables -->")[0]
    assert shown.strip().splitlines() == lines
    assert all(found["largest_logit_difference"] < 1e-4 for found in steps)
    assert all(found["largest_difference"] < 1e-5 for found in attention.values())


def _between(name):
    """The lines of a table in the page on scoring."""
    return (
        SCORING.split(f"<!-- {name}: from the records -->\n")[1]
        .split(f"<!-- end of {name} -->")[0]
        .strip()
        .splitlines()
    )


def test_the_shares_of_a_decoding_step_are_the_committed_ones():
    steps = _measured("decode_shares")["steps_profiled"]
    shown = [
        f"| {found['rows']} rows, {found['cached']} tokens, {found['shared']} shared | "
        + " | ".join(f"{share:.0%}" for share in found["shares"].values())
        + " |"
        for found in steps
    ]
    assert _between("shares")[0] == "| share of a decoding step | " + " | ".join(steps[0]["shares"]) + " |"
    assert _between("shares")[2:] == shown
    assert all(sum(found["shares"].values()) == pytest.approx(1) for found in steps)
    at_32 = [found for found in _measured("decode_step")["steps"] if found["rows"] == 32]
    assert {f"{found['alone_s'] * found['times_floor'] / found['step_s']:.1f}" for found in at_32} == {"1.7"}


def draft_lines():
    """The page's table on drafts: a line for each task and level."""
    yield "| task, level | speed-up, wall time | speed-up, processor time | tokens per step | forwarded per new token |"
    yield "|---|---|---|---|---|"
    for line in _measured("drafts")["lines"]:
        yield (
            f"| {line['task']}, p{line['level']} | {line['ratio']:.1f} | {line['processor_ratio']:.1f} "
            f"| {line['tokens_per_step']:.1f} | {line['fed']:.1f} |"
        )


def test_the_speed_of_drafts_is_the_committed_one():
    assert _between("drafts") == list(draft_lines())
    lines = _measured("drafts")["lines"]
    assert all(line["equal"] == line["items"] == 16 for line in lines)
    assert "at most 512 new tokens (GSM8K 256)" in " ".join(SCORING.split())
    assert {(line["task"], line["most_new_tokens"]) for line in lines} == {("ifeval", 512), ("gsm8k", 256)}


def test_the_long_windows_are_the_committed_ones():
    found = _measured("long_window")
    whole, *pieces = found["windows"]
    assert _between("windows")[0] == f"| one window of {found['tokens']} tokens | time | memory |"
    assert _between("windows")[2:] == [
        f"| {name} | {line['time_s']:.0f} s | {line['memory_bytes'] / 2**20:.0f} MiB |"
        for name, line in [("in one pass", whole), *((f"in pieces of {line['piece_tokens']}", line) for line in pieces)]
    ]
    assert all(line["logprob"] == pytest.approx(whole["logprob"], rel=1e-6) for line in pieces)


def test_the_alignment_table_is_made_from_the_committed_records():
    page = (ROOT / "docs/methods/energy.md").read_text(encoding="utf-8")
    shown = page.split("<!-- alignment table: from the records -->\n")[1].split("<!-- end of table -->")[0]
    pairs = [pair for pair in _alignment_pairs() if pair.figure == "time_per_response_ms"]
    cells = [(pair.workload, row) for pair in pairs for _, (row,) in alignment_tables([pair])]
    columns = [ALIGNMENT_COLUMNS.index(name) for name in _ALIGNMENT_SHOWN]
    lines = ["| workload | " + " | ".join(_ALIGNMENT_SHOWN) + " |", "|" + " --- |" * (1 + len(columns))]
    lines += [f"| {name} | " + " | ".join(row[column] for column in columns) + " |" for name, row in cells]
    assert shown.strip().splitlines() == lines


def test_what_the_page_says_of_alignment_is_so():
    pairs = [pair for pair in _alignment_pairs() if pair.figure == "time_per_response_ms"]
    assert all(pair.plain_to_unpruned.high < 1 and pair.aligned_to_unpruned.high < 1 for pair in pairs)
    assert all(pair.aligned_to_plain.high >= pair.parameters_ratio for pair in pairs)


def test_the_soak_that_is_told_is_the_committed_one():
    soak = json.loads((ROOT / "results/measured/soak.json").read_text(encoding="utf-8"))
    assert soak["records"] == soak["equal"] == soak["cases"] == 1000
    said = " ".join((ROOT / "docs/interruptions.md").read_text(encoding="utf-8").split())
    assert f"after {sum(soak['signals'].values())} signals, a thousand records, all equal" in said


STORY = (ROOT / "docs/story.md").read_text(encoding="utf-8")
_BASE = ("llama1b", "llama3b")
_TOLD = ("ifeval", "truthfulqa_mc2", "truthfulqa_mc1", "boolq", "mmlu")


@pytest.fixture(scope="module")
def told():
    return {(item.model, item.task): item for item in beside_blind(published_rows())}


@pytest.fixture(scope="module")
def scored():
    return {(row["model"], row["percent"], row["subject"]): row for row in published_rows() if row["is_headline"]}


def _course(item):
    if item is None:
        return "–"
    between = "" if item.highest_percent == item.last_percent else f" (p{item.highest_percent}: {item.highest:.4f})"
    return f"{item.unpruned:.4f} → {item.last:.4f}{between}"


def _p(row, control):
    known = published_controls()[row["subject"]]
    return against_blind_score(row, known.scores[control], known.items)[0]


def test_the_storys_table_is_made_from_the_published_tables(told):
    shown = STORY.split("<!-- story table: from the published tables -->\n")[1].split("<!-- end of table -->")[0]
    models = (*_BASE, "instruct1b")
    lines = [f"| task | blind answers | {' | '.join(models)} |", "|" + " --- |" * 5]
    for task in _TOLD:
        courses = [_course(told.get((model, task))) for model in models]
        lines.append(f"| {task} | {blind_answers(told['llama1b', task].controls)} | {' | '.join(courses)} |")
    assert shown.strip().splitlines() == lines


def test_the_story_quotes_the_blind_answers(told):
    said = " ".join(STORY.split())
    ifeval, mc2 = (told["llama1b", task].controls for task in ("ifeval", "truthfulqa_mc2"))
    assert f'the answer "." to every prompt, gets {ifeval["full stop"]:.3f} on IFEval' in said
    assert f"The prompt's own text gets {ifeval['prompt']:.3f}. An empty answer gets {ifeval['nothing']:.0f}" in said
    assert (
        f"get {mc2['uniform']:.3f} on TruthfulQA mc2. Equal probabilities for all tokens get {mc2['flat']:.3f}" in said
    )
    assert f"**always yes** gets {told['llama1b', 'boolq'].controls['always yes']:.3f} on BoolQ" in said
    assert f'"The longest option" gets {told["llama1b", "truthfulqa_mc1"].controls["longest"]:.3f} on mc1' in said
    assert f"levels of the three models reaches the {mc2['flat']:.3f}".replace("levels", "level") in said


def test_what_the_story_says_of_ifeval_is_so(scored):
    said = " ".join(STORY.split())
    unpruned = [_p(scored[model, 0, "ifeval"], "full stop") for model in _BASE]
    assert f"(p = {unpruned[0]:.2g} and p = {unpruned[1]:.2g})" in said
    pruned = [row for (model, percent, task), row in scored.items() if task == "ifeval" and model in _BASE and percent]
    apart = [row for row in pruned if _p(row, "full stop") < 0.05]
    assert (len(pruned), [row["case"] for row in apart]) == (12, ["llama1b-p30-ifeval"])
    assert "Of their 12 pruned levels, 11 cannot be told from the full stop; one (llama1b at p30, 0.1811)" in said
    assert f"with p = {_p(apart[0], 'full stop'):.2g}. The best blind answer is the prompt's own text, 0.250" in said
    assert published_controls()["ifeval"].best[0] == "prompt"
    base = [*pruned, *(scored[model, 0, "ifeval"] for model in _BASE)]
    assert max(row["value"] for row in base) < published_controls()["ifeval"].scores["prompt"]
    assert (len(base), max(_p(row, "prompt") for row in base) < 0.001) == (14, True)
    assert "All 14 scores of the base models are worse than that (each p < 0.001)" in said
    instruct = {percent: scored["instruct1b", percent, "ifeval"] for percent in (0, 10, 40)}
    prompt = [_p(instruct[percent], "prompt") for percent in (0, 10)]
    assert f"it has {instruct[0]['value']:.4f}, better than the prompt's own text (p = {prompt[0]:.2g})" in said
    assert f"At p10 it has {instruct[10]['value']:.4f}, above the full stop, but not better than the" in said
    assert f"but not better than the prompt's own text (p = {prompt[1]:.2g})" in said
    assert f"At p40 it has {instruct[40]['value']:.4f}" in said
    assert _p(instruct[10], "full stop") < 0.05 < _p(instruct[40], "full stop")


def test_what_the_story_says_of_the_other_tasks_is_so(told, scored):
    said = " ".join(STORY.split())
    assert all(told[model, "truthfulqa_mc2"].verdict is Verdict.NO_SKILL for model in (*_BASE, "instruct1b"))
    mc2 = [told[model, "truthfulqa_mc2"] for model in _BASE]
    assert f"at 60 %, with {mc2[0].last:.4f} and {mc2[1].last:.4f}" in said
    items = published_controls()["truthfulqa_mc2"].items
    error = 0.43 / items**0.5
    excess = max(item.last - item.controls["uniform"] for item in mc2) / error
    assert f"{error:.3f}, {excess:.1f}" == "0.015, 1.2"
    assert f"at most {max((item.last * (1 - item.last) / items) ** 0.5 for item in mc2):.4f}" in said
    assert min(item.last - item.unpruned for item in mc2) / error > 3
    rise = told["instruct1b", "truthfulqa_mc2"]
    assert f"from {rise.unpruned:.4f} to {rise.last:.4f}, is less than half of one" in said
    assert (rise.last - rise.unpruned) / error < 0.5
    boolq = scored["llama1b", 0, "boolq"]
    assert f"{boolq['value']:.4f} cannot be told from always yes (p = {_p(boolq, 'always yes'):.2g})" in said
    large = told["llama3b", "boolq"]
    assert large.blind_percents == (10, 20, 30, 40, 50, 60)
    found = [scored["llama3b", percent, "boolq"]["value"] for percent in large.blind_percents]
    assert f"worse from p10 on ({min(found):.3f} to {max(found):.3f})" in said
    assert max(found) < large.controls["always yes"]
    for model in _BASE:
        for task in ("mmlu", "arc_challenge", "gsm8k", "winogrande"):
            assert told[model, task].verdict is Verdict.LOST, (model, task)
        for task in ("hellaswag", "piqa", "wikitext", "lambada_openai"):
            assert told[model, task].verdict is Verdict.KEPT, (model, task)
    left = [f"{100 * told[model, task].skill:.0f} %" for task in ("hellaswag", "piqa") for model in _BASE]
    assert left[0] == left[1]
    assert f"{left[0]} of HellaSwag's skill is left in both base models, and {left[2]} and {left[3]} of PIQA's" in said
    for model, left in zip(_BASE, ("10 %", "9 %"), strict=True):
        item = told[model, "hellaswag"]
        shortest = item.controls["shortest"]
        assert f"{100 * (item.last - shortest) / (item.unpruned - shortest):.0f} %" == left
    assert f"(shortest, {shortest:.3f}) it keeps 10 % and 9 %" in said
    arc = [told[model, "arc_challenge"] for model in _BASE]
    assert f"ARC has {arc[0].last:.3f} and {arc[1].last:.3f} beside {max(arc[0].controls.values()):.3f}" in said
    mmlu = told["llama1b", "mmlu"]
    assert f"MMLU of 1B {mmlu.last:.3f} beside {max(mmlu.controls.values()):.3f}" in said
    gsm8k = [told[model, "gsm8k"] for model in _BASE]
    assert {f"{score:.2f}" for item in gsm8k for score in (item.last, max(item.controls.values()))} == {"0.02"}
    random = _p(scored["instruct1b", 0, "truthfulqa_mc1"], "uniform")
    assert f"better than a random option (p = {random:.2g})" in said
    musr = told["llama1b", "leaderboard_musr"]
    assert f"rises from {musr.unpruned:.4f} to {musr.last:.4f} in 1B" in said


def test_the_storys_figure_shows_the_published_scores(told):
    drawn = (ROOT / "docs/figures/blind-published.svg").read_text(encoding="utf-8")
    items = [item for item in told.values() if item.controls and not item.metric.endswith("perplexity")]
    titles = {f"{item.task} (blind: {blind_answers(item.controls).split(',')[0]})" for item in items}
    assert {title for title in titles if title not in drawn} == set()
    scores = {f"score: {score:.6g}; model: {item.model}; " for item in items for _, score in item.curve}
    assert {score for score in scores if score not in drawn} == set()


def test_the_powers_that_are_told_are_so():
    page = (ROOT / "docs/methods/skill.md").read_text(encoding="utf-8")
    assert f"seen with 80 %: {smallest_change(541, 0.3):.3g}\n" in page
    assert f"the items needed: {items_needed(0.03, 0.3):,}\n" in page


def test_the_simulation_that_is_told_is_the_programs():
    page = " ".join((ROOT / "docs/methods/skill.md").read_text(encoding="utf-8").split())
    lines = list(_load("benchmarks/skill_simulation.py").lines())
    skills = [re.findall(r"estimated as ([\d.]+)", line)[0] for line in lines[:4]]
    assert (
        "is {} on 300 items and {} on 50, with p0 at 0.75; with p0 at 0.5 it is {} and {}.".format(
            *(skills[index] for index in (0, 2, 1, 3))
        )
        in page
    )
    several, one = re.findall(r"([\d.]+ %)", lines[4])
    assert f"is found better than blind in {several} of the runs, in {one} with one control" in page


@pytest.mark.parametrize(
    "text", re.findall(r"```toml\n(.*?)```", (ROOT / "docs/guides/own-study.md").read_text(), re.S)
)
def test_the_examples_of_study_files_are_study_files(text, tmp_path):
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    assert load_study(tmp_path / "study.toml", STUDY).study != STUDY


@pytest.mark.parametrize(
    "place", sorted((ROOT / "results/measured").glob("*/study.toml")), ids=lambda path: path.parts[-2]
)
def test_committed_studies_can_be_run_again(place):
    study = load_study(place, STUDY).study
    records = [json.loads(path.read_text()) for path in (place.parent / "individual_files").rglob("*.json")]
    assert records
    for case in (record["case"] for record in records):
        assert case["percent"] in study.models[case["model"]].levels
        assert case["subject"] == "layer_scan" or case["subject"] in {*study.tasks, *study.workloads}


@pytest.mark.parametrize(
    "place", sorted((ROOT / "results/measured").glob("*/results.csv")), ids=lambda path: path.parts[-2]
)
def test_committed_tables_have_todays_columns(place):
    assert place.read_text(encoding="utf-8").splitlines()[0].split(",") == list(COLUMNS)


def test_the_storys_table_of_the_real_model_is_made_from_the_committed_records():
    shown, made = first_table(STORY)
    assert shown == made


SAMPLES = "samples/smolq4/p40/smolq4-p40-ifeval.jsonl.gz"


def test_what_the_story_says_of_the_real_model_is_so():
    found = [row for row in concluded("smollm2_135m_instruct").rows if row["is_headline"] and row["layers"] is None]
    rows = {(row["subject"], row["percent"]): row for row in found if row["method"] in (None, "PPM")}
    told = ("boolq", "hellaswag", "ifeval", "ifeval_chat", "piqa", "truthfulqa_mc1", "truthfulqa_mc2")
    assert all(rows[task, percent]["is_blind"] for task in told for percent in (30, 40, 60))
    assert {task for task in told if rows[task, 0]["is_blind"] is False} == {"hellaswag", "piqa"}
    assert all(rows[task, 40]["value"] > rows[task, 0]["value"] for task in ("ifeval", "truthfulqa_mc2"))
    kept = ("boolq", "hellaswag", "piqa", "truthfulqa_mc1")
    assert all(rows[task, 40]["value"] > rows[task, 0]["value"] / 2 for task in kept)
    with gzip.open(ROOT / "results/measured/smollm2_135m_instruct" / SAMPLES, "rt", encoding="utf-8") as file:
        assert sum("a a a a a a a" in json.loads(line)["answers"][0] for line in file) > 10
    assert [rows["ifeval", percent]["value"] for percent in (0, 5)] == [0, 0.2]
    assert round(50 * rows["ifeval", 0]["empty_share"]) == 22
    assert f"{100 * rows['ifeval', 5]['repetition']:.0f} % repetition, all answers cut" in STORY
    assert rows["ifeval", 5]["cut_share"] == 1
    assert [rows["ifeval_chat", percent]["value"] for percent in (0, 5)] == [0.16, 0.16]
    assert rows["ifeval_chat", 5]["cut_share"] == 0.9


def _growth():
    return json.loads((ROOT / "results/measured/growth.json").read_text(encoding="utf-8"))["steps"]


def _growth_lines():
    yield "| step | processor time per case | with more cases | ratio | memory per case |"
    yield "|---|---|---|---|---|"
    for step, found in _growth().items():
        counts = sorted(int(count) for count in found if count.isdigit())
        few, many = (found[str(count)] for count in (counts[0], counts[-1]))
        yield (
            f"| {step} | {1000 * few['seconds_per_case']:.3g} ms ({counts[0]:,} cases) "
            f"| {1000 * many['seconds_per_case']:.3g} ms ({counts[-1]:,} cases) | {found['ratio']:.2f} "
            f"| {many['bytes_per_case'] / 1000:.3g} kB |"
        )


def test_the_table_of_growth_is_made_from_the_committed_figures():
    page = (ROOT / "docs/guides/scale.md").read_text(encoding="utf-8")
    shown = page.split("<!-- growth table: from the records -->\n")[1].split("<!-- end of table -->")[0]
    assert shown.strip().splitlines() == list(_growth_lines())


def test_the_cost_of_a_cluster_is_the_measured_one():
    found = json.loads((ROOT / "results/measured/cluster_overhead.json").read_text(encoding="utf-8"))
    (here, there), last = ([found[name] for name in ("one_process_s", "cluster_s")], found["levels"][1])
    per_group_s = (there[1] - there[0] - here[1] + here[0]) / (last - 1)
    said = " ".join((ROOT / "docs/guides/cluster.md").read_text(encoding="utf-8").split())
    assert f"{there[0] - here[0]:.1f} s more for the run" in said
    assert f"{per_group_s:.2f} s more for each (model, level) group" in said


def test_the_suites_own_work_on_a_large_sweep_is_the_tables():
    largest = {step: found[max((key for key in found if key.isdigit()), key=int)] for step, found in _growth().items()}
    own = largest.pop("compare")
    rest_s = sum(210_000 * found["seconds_per_case"] for found in largest.values())
    hours, gigabytes = 210_000 * own["seconds_per_case"] / 3600, 210_000 * own["bytes_per_case"] / 1e9
    said = " ".join((ROOT / "docs/guides/scale.md").read_text(encoding="utf-8").split())
    assert f"`compare` takes {hours:.1f} hours and {gigabytes:.1f} GB, all other steps together 20 minutes" in said
    assert 17.5 < rest_s / 60 < 22.5


def test_no_step_grows_faster_than_the_cases():
    """Half as much again is the spread of two measurements on a machine that others use."""
    assert {step: found["ratio"] for step, found in _growth().items() if found["ratio"] > 1.5} == {}
