"""Records changed in any place, and files of any bytes: each is used or named, and none takes the others with it."""

import copy
import gzip
import json
import math
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glu_lib.analysis import conclude, consolidate, headline_tables, workload_tables, write_tables
from glu_lib.errors import RecordError
from glu_lib.report import (
    alignment_lines,
    markdown_alignment,
    markdown_table,
    report_data,
    terminal_lines,
    workload_lines,
    write_report,
)
from glu_lib.report.findings import findings
from glu_lib.report.formats.boamps import export_boamps
from glu_lib.report.formats.every_eval_ever import export_evaluations
from glu_lib.report.formats.optimum import export_records
from glu_lib.report.formats.scored_case import ScoredCase
from glu_lib.results.address import RecordId
from glu_lib.results.record import read_record, read_values
from glu_lib.results.records import AccuracyRecord, EnergyRecord
from glu_lib.results.store import Store
from glu_lib.run.record_checks import _doubts
from glu_lib.study import STUDY
from glu_lib.study.cases import Case
from glu_lib.study.pruning import Pruning

MEASURED = Path(__file__).resolve().parents[2] / "results/measured"
NANO = Path("individual_files/nano")
QUARTER = Path("individual_files/quarter")
SCORE, ENERGY = NANO / "p40/nano-p40-facts.json", QUARTER / "p40/quarter-p40-decode_b1.json"
ALIGNED, SHAPE = QUARTER / "p40d128/quarter-p40d128-decode_b1.json", NANO / "p40/nano-p40-architecture.json"
OTHERS = (NANO / "p0/nano-p0-facts.json", NANO / "p20/nano-p20-facts.json", QUARTER / "p0/quarter-p0-decode_b1.json")
TEMPLATES = {
    path: json.loads((MEASURED / ("nano" if path.is_relative_to(NANO) else "cpu_alignment") / path).read_text())
    for path in (SCORE, ENERGY, ALIGNED, SHAPE, *OTHERS)
}
for template in TEMPLATES.values():
    # Without digests: a foreign record may lack them, and with them any change is named before it is read further.
    template.pop("sha256", None)
    for name in ("sha256", "bytes"):
        template.get("samples", {}).pop(name, None)
    # Of one folder, as if both models had their own weights.
    if "weights" in template:
        template["weights"] = template["done_key"]["weights"] = "real"

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "20"))
FUZZ = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
DEEP = [[]]
for _ in range(200):
    DEEP = [DEEP]
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(
        [
            0,
            -1,
            1,
            3,
            2**63,
            10**400,
            -(10**40),
            1e308,
            -1e308,
            5e-324,
            1e-300,
            0.0,
            1e59,
            1e61,
            math.nan,
            math.inf,
            -math.inf,
        ]
    ),
    st.sampled_from(
        [
            "",
            "x",
            "p0",
            "accuracy",
            "energy",
            "random",
            "a\nb",
            "\x1b[2J",
            "<b>|",
            "\ud800",
            "../../x",
            "\0",
            "9" * 600,
            "x" * 5000,
        ]
    ),
    st.sampled_from([[], {}, [None], [1], [[]], {"": None}, {"mean": None}, {"energy_j": "x"}, ["x", 3], DEEP]),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
)


def places(value, place=()):
    """Every place in a nested value, the value itself left out."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield (*place, key)
        yield from places(entry, (*place, key))


def changed(record, changes):
    """A copy of a record with places deleted (`...`) or replaced, as far as they are still there."""
    found = copy.deepcopy(record)
    for (*parents, key), value in changes:
        target = found
        for parent in parents:
            target = target[parent] if _has(target, parent) else None
        if _has(target, key):
            if value is ...:
                del target[key]
            else:
                target[key] = copy.deepcopy(value)
    return found


def _has(target, key):
    return (isinstance(target, dict) and key in target) or (
        isinstance(target, list) and isinstance(key, int) and key < len(target)
    )


def mutations(path):
    # Each top-level part as likely as any other, whatever its size.
    parts = {}
    for place in places(TEMPLATES[path]):
        parts.setdefault(place[0], []).append(place)
    place = st.sampled_from(list(parts)).flatmap(lambda part: st.sampled_from(parts[part]))
    changes = st.lists(st.tuples(place, ODD | st.just(...)), min_size=1, max_size=3)
    return changes.map(lambda found: changed(TEMPLATES[path], found))


def written(root, path, content):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        (root / path).write_bytes(content)
    else:
        (root / path).write_text(json.dumps(content))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A results folder with scores and their samples, workloads plain and aligned, and a bare architecture."""
    found = tmp_path_factory.mktemp("results")
    for path, record in TEMPLATES.items():
        written(found, path, record)
    shutil.copytree(
        MEASURED / "nano/samples/nano",
        found / "samples/nano",
        ignore=lambda _, names: [name for name in names if name.endswith(".gz") and "facts" not in name],
    )
    return found


def assert_used_or_named(root, path, *, with_page=False):
    """All that reads records reads those that are fine, and names the one at `path` if it is not."""
    with_others = {str(other) for other in TEMPLATES} - {str(path)}
    found = conclude(root)
    assert with_others <= {row["record"] for row in found.rows}
    assert str(path) in {row["record"] for row in found.rows} or any(path.name in problem for problem in found.problems)
    assert all(line.isprintable() for line in (*found.problems, *found.untested))
    for table in headline_tables(found.rows):
        terminal_lines(table, 100)
        markdown_table(table)
    for table in workload_tables(found.rows):
        workload_lines(table, 100)
        markdown_table(table)
    alignment_lines(found.aligned_pairs, 100)
    markdown_alignment(found.aligned_pairs)
    for written_path in write_tables(root, found.rows):
        if written_path.suffix == ".json":
            json.loads(written_path.read_text(), parse_constant=refuse)
    data = report_data(found, STUDY)
    findings(data, headline_tables(found.rows))
    if with_page:
        page, *_ = write_report(root, data, with_files=False)
        assert page.read_text().rstrip().endswith("</html>")
    for path_of_any in Store(root).record_paths():
        try:
            lines = _doubts(read_values(path_of_any))
        except RecordError as error:
            lines = [str(error)]
        assert all(len(line.splitlines()) <= 1 for line in lines)
    records = list(readable(root))
    energies = [record for record in records if isinstance(record, EnergyRecord)]
    scored = [ScoredCase(record, SCORE.as_posix()) for record in records if isinstance(record, AccuracyRecord)]
    _, of_optimum = export_records(energies, root / "export")
    _, of_boamps = export_boamps(energies, root / "export")
    _, of_scores, without_items = export_evaluations(Store(root), scored, root / "export")
    for problem in (*of_optimum, *of_boamps, *of_scores, *without_items):
        assert len(problem.splitlines()) == 1


def refuse(constant):
    pytest.fail(f"{constant} in results.json")


def readable(root):
    for path in Store(root).record_paths():
        try:
            yield read_record(path)
        except RecordError as error:
            message = str(error)
            assert len(message.splitlines()) == 1


@pytest.mark.parametrize("path", [SCORE, ENERGY, ALIGNED, SHAPE], ids=lambda path: path.stem)
@pytest.mark.parametrize("with_page", [False, True], ids=["tables", "page"])
def test_a_changed_record_is_used_or_named(root, path, with_page, monkeypatch):
    monkeypatch.setattr("glu_lib.report.page._bundle", str)  # a second per page, whatever the records say

    @given(mutations(path))
    @settings(FUZZ, max_examples=EXAMPLES if not with_page else EXAMPLES // 4)
    def check(record):
        written(root, path, record)
        assert_used_or_named(root, path, with_page=with_page)

    try:
        check()
    finally:
        written(root, path, TEMPLATES[path])


def test_bytes_in_place_of_a_record_are_named(root):
    text = (MEASURED / "nano" / SCORE).read_bytes()
    number = b'"value": 0.936'
    assert number in text
    spoiled = [
        *(
            text.replace(number, b'"value": ' + value)
            for value in (b"NaN", b"-Infinity", b"1e999", b"9" * 10_000, b"[" * 9000)
        ),
        *(
            b"[" * 100_000,
            b'{"done_key": ' + b'{"a":' * 100_000,
            b"",
            b"\xff\xfe\x00",
            b"\xef\xbb\xbf" + text,
            text[:-3],
            b"null",
        ),
        *(text[:place] for place in range(0, len(text), len(text) // 20)),
    ]
    try:
        for content in spoiled:
            written(root, SCORE, content)
            found = consolidate(root)
            assert [problem for problem in found.problems if SCORE.name in problem]
            assert len(found.rows) == len(consolidate(root).rows)
    finally:
        written(root, SCORE, TEMPLATES[SCORE])


@given(st.binary(max_size=50))
@settings(FUZZ, max_examples=100)
def test_any_bytes_are_a_record_or_one_line(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(content)
    try:
        read_record(path)
    except RecordError as error:
        message = str(error)
        assert len(message.splitlines()) == 1


SAMPLES = Path("samples/nano/p40/nano-p40-facts.jsonl.gz")


@pytest.fixture
def samples(root):
    """The samples of a level, put back afterwards."""
    content = (root / SAMPLES).read_bytes()
    yield content
    (root / SAMPLES).write_bytes(content)


def assert_samples_named(root, content):
    (root / SAMPLES).write_bytes(content)
    found = conclude(root)
    assert {str(path) for path in TEMPLATES} <= {row["record"] for row in found.rows}
    (change,) = [change for change in found.changes if change.record == str(SCORE)]
    assert change.comparison is None
    assert [line for line in found.problems if "facts" in line]
    assert all(line.isprintable() for line in found.problems)


def test_samples_torn_at_any_byte_are_named(root, samples):
    for place in range(0, len(samples), len(samples) // 12):
        assert_samples_named(root, samples[:place])


def test_samples_of_any_shape_are_named(root, samples):
    lines = gzip.decompress(samples).splitlines()
    first = json.loads(lines[0])
    for value in (
        None,
        [],
        3,
        "x",
        first | {"acc": math.nan},
        first | {"acc": 10**400},
        first | {"acc": "x"},
        first | {"doc_id": []},
        {},
        first,
    ):
        assert_samples_named(root, gzip.compress(b"\n".join([json.dumps(value).encode(), *lines[1:-1], lines[1]])))
    for content in (b"[" * 100_000, b"\xff", b"NaN", b"9" * 10_000):
        assert_samples_named(root, gzip.compress(b"\n".join([content, *lines[1:]])))
    assert_samples_named(root, b"no gzip")


def test_what_is_remembered_is_not_believed(root):
    """The file of remembered comparisons comes with the folder: any bytes in it cost time at most."""
    expected = conclude(root, remember=True).rows
    path = root / ".significance.json"
    known = json.loads(path.read_text())
    for value in (None, [], {}, {"changes": 3}, {"changes": [], "trends": []}, {"changes": [{"p": "x"}], "trends": []}):
        path.write_text(json.dumps(dict.fromkeys(known, value)))
        assert conclude(root).rows == expected
    for content in (b"[" * 100_000, b"\xff", b"[]", b"9" * 10_000):
        path.write_bytes(content)
        assert conclude(root).rows == expected
    for key, name in ((key, name) for key in known for name in ("p", "delta", "test", "pairs", "delta_low")):
        forged = copy.deepcopy(known)
        for change in forged[key]["changes"]:
            if change["comparison"]:
                change["comparison"][name] = math.nan if name == "p" else ["x"]
        path.write_text(json.dumps(forged))
        assert conclude(root).rows == expected


def test_the_state_of_a_case_is_told_whatever_its_record_holds(root):
    case = Case(STUDY.models["nano"], Pruning(40), STUDY.tasks["facts"])
    key = TEMPLATES[SCORE]["done_key"]
    store = Store(root)
    assert store.record_path(RecordId(case)) == root / SCORE

    @given(mutations(SCORE))
    @settings(FUZZ, max_examples=100)
    def check(record):
        written(root, SCORE, record)
        assert store.state(RecordId(case), key).path == root / SCORE

    try:
        check()
    finally:
        written(root, SCORE, TEMPLATES[SCORE])
