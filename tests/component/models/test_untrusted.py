"""Records and results folders from anywhere are data: their names stay names in what is printed, written or pushed."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from glu_lib.analysis import conclude, consolidate, headline_tables, workload_tables
from glu_lib.analysis.headline import HeadlineTable
from glu_lib.errors import RecordError, one_line
from glu_lib.frontends import push as hub
from glu_lib.frontends.cli.entry import main
from glu_lib.report import (
    alignment_lines,
    markdown_alignment,
    markdown_table,
    report_data,
    terminal_lines,
    workload_lines,
    write_report,
)
from glu_lib.report.figures import figures_of
from glu_lib.report.files import _write_figures
from glu_lib.report.formats.optimum import export_records
from glu_lib.results.record import read_record
from glu_lib.run.experiment import Experiment
from glu_lib.run.lm_eval_files import write_lm_eval_files
from glu_lib.run.session import Session
from glu_lib.study import STUDY
from glu_lib.study.cases import Case
from glu_lib.study.pruning import Pruning

ROOT = Path(__file__).resolve().parents[3]
NANO = ROOT / "results/measured/nano/individual_files/nano"
ALIGNMENT = ROOT / "results/measured/cpu_alignment/individual_files/quarter"
MARKUP = "<script>alert(1)</script>|[red]x[/y] [a](javascript:b) :smile: `c` *d* \\"
INVISIBLE = ["\x1b[31mred", "a\nb", "a\rb", "\x9b2J", "\u202egnp", "a\x00b", "\ud800"]


@pytest.fixture
def folder(tmp_path):
    """A results folder with records of scores and workloads at two levels."""
    for source in (NANO / "p0", NANO / "p40", ALIGNMENT / "p0", ALIGNMENT / "p40", ALIGNMENT / "p40d128"):
        place = tmp_path / "individual_files" / source.parent.name / source.name
        place.mkdir(parents=True)
        for path in source.glob("*.json"):
            record = json.loads(path.read_text())
            if record["kind"] == "energy":
                record["done_key"]["weights"] = "real"  # so that both kinds stand beside each other
            record.pop("sha256", None)  # whoever forges a record forges its digest, or leaves it out
            (place / path.name).write_text(json.dumps(record))
    return tmp_path


def rename(folder, change):
    for path in (folder / "individual_files").glob("*/*/*.json"):
        record = json.loads(path.read_text())
        change(record)
        path.write_text(json.dumps(record))


def hostile_names(record):
    case = record["case"]
    case |= {"model": MARKUP, "subject": f"{MARKUP}{case['subject']}", "id": f"{MARKUP}{case['id']}"}
    for value in (record.get("score") or {"metrics": []})["metrics"]:
        value |= {"task": MARKUP, "metric": MARKUP}
    if "score" in record:
        record["score"]["headline"] |= {"task": MARKUP, "metric": MARKUP, "label": MARKUP}
    record["environment"] |= {"gpu": MARKUP}


def test_markup_in_names_is_text_everywhere(folder, capsys):
    rename(folder, hostile_names)
    found = conclude(folder)
    tables = headline_tables(found.rows)
    lines = [line for table in tables for line in terminal_lines(table, 200)]
    lines += [line for table in workload_tables(found.rows) for line in workload_lines(table, 200)]
    lines += alignment_lines(found.aligned_pairs, 200)
    assert any("[red]x[/y]" in line for line in lines)
    assert any(":smile:" in line for line in lines)
    assert len(tables) == 1
    texts = [markdown_table(table) for table in tables] + [markdown_alignment(found.aligned_pairs)]
    for text in texts:
        assert "<script" not in text
        assert "[a](" not in text
        rows = [line for line in text.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in rows}) <= 1 or text is texts[-1]
    page = write_report(folder, report_data(found, STUDY), with_files=False)[0].read_text()
    assert "alert(1)</script>" not in page
    assert main(["table", str(folder)]) in (0, 1)
    assert main(["export", str(folder)]) == 1
    assert "is not a case id" in capsys.readouterr().err
    assert not [name for name in ("optimum_benchmark", "boamps", "every_eval_ever") if (folder / name).exists()]
    assert "<script" not in hub.results_card(found.rows)


@pytest.mark.parametrize("text", INVISIBLE)
@pytest.mark.parametrize(
    "place", [("case", "id"), ("case", "subject"), ("case", "model"), ("environment", "cpu"), ("timing", "started_at")]
)
def test_escape_sequences_and_line_breaks_do_not_reach_a_table(folder, text, place, capsys):
    path = folder / "individual_files/nano/p40/nano-p40-facts.json"
    record = json.loads(path.read_text())
    record[place[0]][place[1]] = text
    record["environment"]["gpu"] = None
    path.write_text(json.dumps(record))
    (line,) = [problem for problem in consolidate(folder).problems if path.name in problem]
    assert "not a text of one line; run the case again" in line
    assert line.isprintable()
    assert main(["consolidate", str(folder)]) == 1
    assert main(["validate", "--results-dir", str(folder), "--model", "nano"]) in (0, 1)
    assert all(printed.isprintable() for printed in capsys.readouterr().err.splitlines())


def test_a_figure_of_hostile_names_holds_no_markup_of_theirs(folder):
    rename(folder, hostile_names)
    figures = [figure for figure in figures_of(report_data(conclude(folder), STUDY)) if MARKUP[:8] in str(figure.spec)]
    svg, _ = _write_figures(folder, figures[:1])
    text = svg.read_text()
    assert "&lt;script&gt;" in text
    assert "<script" not in text


def test_no_cell_of_the_csv_is_a_formula(folder):
    path = folder / "individual_files/nano/p40/nano-p40-facts.json"
    record = json.loads(path.read_text())
    record["case"]["subject"] = "=HYPERLINK(1)"
    path.write_text(json.dumps(record))
    (line,) = [problem for problem in consolidate(folder).problems if path.name in problem]
    assert "subject is '=HYPERLINK(1)', which spreadsheets read as a formula" in line


@pytest.mark.parametrize("name", ["\x1b[31mred.json", "a\nb.json", "\udcff.json"])
def test_a_hostile_file_name_is_spelled_out(folder, name, capsys):
    (folder / "individual_files/nano/p40" / name).write_text("{")
    assert main(["consolidate", str(folder)]) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "not a readable record" in line]
    assert line.isprintable()


def test_one_line_keeps_what_can_be_seen():
    assert one_line("größer: 3 × “x” 漢字") == "größer: 3 × “x” 漢字"
    assert one_line("a\nb\x1b[1m\ud800\u202e") == "a\\nb\\x1b[1m\\ud800\\u202e"


@pytest.mark.parametrize(
    "name", ["../../out", "/tmp/out", "..", ".", "", "a/b", "a\\b", "x" * 300, 3, None, ["a"], {"b": 1}, "a\x00b"]
)
def test_no_exported_file_leaves_the_folder(tmp_path, name):
    (path, *_) = ALIGNMENT.glob("p0/*.json")
    fine = read_record(path)
    hostile = fine.model_copy(update={"case": fine.case.model_copy(update={"id": name})})  # without checks
    paths, problems = export_records([hostile, fine], tmp_path / "deep" / "export")
    assert [found.parent.parent for found in paths] == [tmp_path / "deep" / "export"]
    assert len(problems) == 1
    assert len(problems[0].splitlines()) == 1
    assert [found for found in tmp_path.rglob("*") if found.is_file()] == paths


@pytest.mark.parametrize("source", ["../../../etc", "/" + "deep/" * 100, "a/b", "..", "C:\\x", "~/x"])
def test_lm_evals_files_stay_in_their_folder(tmp_path, source):
    folder = tmp_path / "lm_eval" / "case"
    evaluation = SimpleNamespace(results={"results": {}, "configs": {}}, raw_samples={})
    written = write_lm_eval_files(folder, f"{source}-p40", STUDY.tasks["facts"], evaluation, None, {}, start_s=0.0)
    assert len(written) == 1
    assert all(path.resolve().is_relative_to(folder) for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize("link", ["file", "folder"])
def test_a_link_out_of_the_results_folder_is_not_pushed(settings, tmp_path, monkeypatch, link):
    Session(Experiment(settings)).measure(Case(STUDY.models["nano"], Pruning(40), "architecture"))
    secret = tmp_path / "elsewhere"
    secret.mkdir()
    (secret / "secret.json").write_text("mine")
    folder = settings.results_dir / "samples" / "nano"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "link").symlink_to(secret / "secret.json" if link == "file" else secret)
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: pytest.fail("the hub was asked"))
    with pytest.raises(RecordError, match="link is a link out of .*; only files inside it are pushed: remove the link"):
        hub.push_results(settings.results_dir, "me/results")


def test_a_table_of_hostile_notes_is_one_line_each():
    row = {
        "subject": "a|b",
        "metric": "acc",
        "value": 0.5,
        "percent": 0,
        "higher_is_better": True,
        "relative_delta": None,
        "truncated_prompts": 3,
        "energy_quality": None,
        "energy_j": None,
        "window_s": None,
    }
    table = HeadlineTable("m", None, None, None, None, ((0, 4.0),), ("a|b",), {("a|b", 0): row})
    assert "a&#124;b (acc ↑)" in markdown_table(table)
    assert "a&#124;b p0 3" in markdown_table(table)
    assert (
        dataclasses.replace(table, model="[/x]").title
        in terminal_lines(dataclasses.replace(table, model="[/x]"), 80)[0]
    )
