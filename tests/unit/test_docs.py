"""The documentation says what is so: reference pages, paths, links, figures."""

import importlib.util
import json
import pkgutil
import re
from pathlib import Path

import pytest

from glu_lib.analysis import conclude
from glu_lib.report.alignment_table import ALIGNMENT_COLUMNS, alignment_tables
from glu_lib.results.record_fields import SECTIONS
from glu_lib.study import STUDY, load_study

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("[!_]*.md"), *(ROOT / "docs").glob("[!_]*/*.md")])
WRITTEN = [page for page in PAGES if page.parent.name != "reference" and page.name != "CHANGELOG.md"]
_IN_RECORDS = [*(ROOT / "results/measured").rglob("individual_files/**/*.json")]
# Fields of whole blocks that stand in several places; described once.
_BLOCKS = (
    (r"repeats\[\]\.(natural\.)?(energy|conditions)\.", r"\2."),
    (r"repeats\[\]\.natural\.(?!row_tokens)", "repeats[]."),
    (r"energy\.(cpu|gpu|ram)\.", "energy.<part>."),
    (r"memory\.(loading|pruning)\.", "memory.<stage>."),
    (r"^generation_memory\.", "memory.<stage>."),
    (r"profile\.\w+\.", "profile.<figure>."),
    (r"parts_w\.\w+", "parts_w.<part>"),
    (r"score\.metrics\[\]\.(?=\w)", "score.headline."),
)
_TABLES = ("environment.versions", "environment.outside", "score.task_versions", "score.generation_settings")
# Described although no committed record holds them.
_SELDOM = {
    "done_key.chat date",  # chat tasks
    "score.metrics[]",  # described as a block
    "generation_memory",
    "repeats[].energy, repeats[].conditions",
    "repeats[].natural",
}


_ALIGNMENT_SHOWN = (
    *("level", "width", "aligned width", "aligned / plain", "parameters, aligned / plain"),
    *("plain / unpruned", "aligned / unpruned"),
)


def _alignment_pairs():
    return conclude(ROOT / "results/measured/cpu_alignment").aligned_pairs


def _generate():
    specification = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_reference_pages_are_current():
    pages = _generate().pages()
    found = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs/reference").glob("*.md")}
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


def _fields(value, path=""):
    if path in _TABLES or not isinstance(value, dict | list) or not value:
        yield path
    elif isinstance(value, dict):
        for name, entry in value.items():
            yield from _fields(entry, f"{path}.{name}" if path else name)
    elif isinstance(value[0], dict):
        for entry in value:
            yield from _fields(entry, f"{path}[]")
    else:
        yield path


def test_every_field_of_the_committed_records_is_described_and_no_other():
    found = set()
    for file in _IN_RECORDS:
        for field in set(_fields(json.loads(file.read_text(encoding="utf-8")))):
            name = field
            for pattern, block in _BLOCKS:
                name = re.sub(pattern, block, name)
            found.add(name)
    described = {name for fields in SECTIONS.values() for name in fields}
    assert found - described == set()
    assert described - found == _SELDOM


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


def test_the_counted_tokens_are_the_committed_ones():
    counted = {found["task"]: found for found in _measured("tokens")["tasks"]}
    for task, title in (("mmlu", "MMLU five-shot"), ("hellaswag", "HellaSwag"), ("truthfulqa_mc2", "TruthfulQA mc2")):
        (row,) = re.findall(rf"\| {title} \| ([\d.]+) million(?: tokens)? \| ([\d.]+) million \|", SCORING)
        for shown, figure in zip(row, (counted[task]["hflm_tokens"], counted[task]["planned"]), strict=True):
            digits = len(shown.partition(".")[2])
            assert shown == f"{figure / 1e6:.{digits}f}", task


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


@pytest.mark.parametrize(
    "text", re.findall(r"```toml\n(.*?)```", (ROOT / "docs/guides/own-study.md").read_text(), re.S)
)
def test_the_examples_of_study_files_are_study_files(text, tmp_path):
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    assert load_study(tmp_path / "study.toml", STUDY).study != STUDY
