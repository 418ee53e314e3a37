"""Study files from anywhere: each is a study or one line, and the keys of a study never leave the results folder."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glu_lib.errors import GluError, StudyError
from glu_lib.results.address import RecordId
from glu_lib.results.store import Store
from glu_lib.study import STUDY, Method, ModelVariant, Study, StudyFile, Suite, Task, VariantKind, Workload, load_study
from glu_lib.study.cases import Case, build_cases
from glu_lib.study.choices import Choices
from glu_lib.study.methods import Selection
from glu_lib.study.pruning import Pruning
from glu_lib.study.settings import DIVISORS
from glu_lib.study.tasks import Metric

FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def quoted(value):
    """A text, number or boolean as TOML: as JSON has it, but no halves of characters."""
    return json.dumps(value, ensure_ascii=False)


def toml(value):
    """Any value as TOML, tables inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(key)} = {toml(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, Raw):
        return str(value)
    return quoted(value)


class Raw(str):
    """TOML as it stands."""


def often(usual, odd):
    """One of the usual values, now and then an odd one."""
    return st.one_of(*[st.sampled_from(usual)] * 8, st.sampled_from(odd))


GOOD = [
    "mine",
    "own",
    "qwz",
    "xx",
    "a_b",
    "piqa",
    "mmlu",
    "facts",
    "paper",
    "quick",
    "z9",
    "llama1b",
    "facts_latency_b1",
]
NAMES = often(
    GOOD,
    [
        *("nano", "llama", "architecture"),
        *("p40", "p", "gp10x", "and", "skip", "star", "_x", "random", "l2", "Mine", "x"),
        *("../x", "a/b", "..", "", "a\nb", "a\x1b[31m", "ключ", "ａ", "k" * 61, "k" * 300, "\u202ex", "<b>", "a|b"),
    ],
)
COUNTS = st.integers(1, 9) | st.just(0)
ODD = st.one_of(
    st.none().map(lambda _: Raw("2026-01-01T00:00:00Z")),
    st.integers(),
    st.sampled_from([2**63, -(2**70), Raw("0x" + "f" * 9000), Raw("9" * 5000), 10**400]),
    st.floats(),
    st.booleans(),
    st.text(max_size=8),
    st.lists(st.integers() | st.text(max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


def table(*required, **fields):
    """A table with some of its fields, now and then with an odd value or an unknown field."""
    required = {name: fields.pop(name) for name in required}
    usual = st.fixed_dictionaries(required, optional=fields)
    names = st.sampled_from([*required, *fields, "other", "a\nb"])
    odd = st.builds(lambda found, name, value: found | {name: value}, usual, names, ODD)
    lacking = st.builds(lambda found, name: {key: found[key] for key in found if key != name}, usual, names)
    return st.one_of(*[usual] * 8, odd, lacking)


NAMED = [str(method) for method in Method if method is not Method.FILE]
SETS = st.lists(often(["all", "0", "1-", "0-0", "-1-", "-0", "0,1"], ["9", "2-1", "", "x", "-0-", "1\n"]), max_size=3)
LISTS = st.lists(NAMES, max_size=3)
LEVELS = st.lists(often([0, 10, 20, 40, 95], [1, 4, 5, 96, -1, 2**40]), min_size=1, max_size=3) | st.just([])
SIZES = {"hidden_size": 64, "intermediate_size": 256, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2}
SHAPE = SIZES | {"head_dim": 16, "vocab_size": 100, "max_positions": 64, "tied_embeddings": True, "rope_theta": 1e4}
SHAPES = st.builds(lambda name, value: SHAPE | {name: value}, st.sampled_from([*SHAPE, "rms_norm_eps"]), ODD) | st.just(
    SHAPE
)
MODELS = table(
    *("source", "kind", "levels"),
    source=often(["org/name", "embedded", "/no/such"], ["", " ", "a\nb"]),
    kind=often(["base", "instruct"], ["chat"]),
    levels=LEVELS,
    layers=SETS,
    revision=often(["main"], ["", "\x1b[2J"]),
    suites=st.lists(often(["paper", "core", "carbon", "alignment", "embedded"], ["none"]), max_size=3),
    architecture=SHAPES,
)
TASKS = table(
    "metric",
    task=often(["piqa", "nano_facts", "evil.yaml", "x(y)"], ["/tmp/evil.yaml", "../evil", "", "a b"]),
    metric=often(["acc", "acc_norm", "exact_match,strict", "a|b", "<b>"], [",", "", "a\nb", "acc,\x1b[1m"]),
    num_fewshot=st.integers(0, 5) | st.just(-1),
    higher_is_better=st.booleans(),
    chance=st.floats(0, 1) | st.just(-1.0),
    slow=st.booleans(),
)
WORKLOADS = table(
    *("num_prompts", "new_tokens", "batch_size"),
    prompts=often(["piqa", "facts"], ["nothing"]),
    num_prompts=COUNTS,
    new_tokens=COUNTS,
    batch_size=COUNTS,
    seeds=st.lists(st.integers(), max_size=3),
    prompt_tokens=COUNTS,
)
SUITES = LISTS | table(
    tasks=LISTS,
    workloads=LISTS,
    models=LISTS,
    description=st.text(max_size=5),
    divisors=st.lists(often(DIVISORS, [7])),
)


def reachable(data):
    """A file whose tasks and workloads are in a suite, mostly: without, all are refused for the same reason."""
    names = [key for kind in ("tasks", "workloads") if isinstance(data.get(kind), dict) for key in data[kind]]
    suites = data.get("suites", {})
    return data | {"suites": suites | {"all": names}} if names and isinstance(suites, dict) else data


FILES = table(
    models=st.dictionaries(NAMES, MODELS, max_size=2),
    tasks=st.dictionaries(NAMES, TASKS, max_size=2),
    workloads=st.dictionaries(NAMES, WORKLOADS, max_size=2),
    suites=st.dictionaries(NAMES, SUITES, max_size=3),
    methods=st.lists(often([*NAMED, "maw", "random:10"], ["magic", "random:", "file:no.safetensors"]), max_size=3),
    divisors=st.lists(often(DIVISORS, [7, 0, -32]), max_size=2),
    layers=SETS,
    percent_of=often(["layer", "model"], ["neuron"]),
    scan_level=often([1, 10, 95], [0, 96]),
).map(reachable)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("study") / "study.toml"


def loaded(path: Path) -> StudyFile | None:
    """The study of a file; None if it was refused with one line."""
    try:
        return load_study(path, STUDY)
    except StudyError as error:
        message = str(error)
    assert message.startswith(f"study file {path}: ")
    assert len(message.splitlines()) == 1
    assert message.isprintable()
    return None


def assert_safe(study: Study, choices: Choices):
    """Ids are unique, lie inside the results folder, and belong to one model whatever -k says."""
    try:
        cases = build_cases(study, *choices)
        marks = {case: case.marks for case in cases}
    except GluError as error:
        message = str(error)
        assert len(message.splitlines()) == 1
        return
    assert len({case.id for case in cases}) == len(cases)
    root, ids = Path("/results"), {RecordId(case, limit) for case in cases for limit in (None, 5)}
    for places in (Store(root).record_path, Store(root).samples_path, Store(root).lm_eval_folder):
        paths = {places(id_) for id_ in ids}
        assert len(paths) == len(ids)
        for place in paths:
            assert len(place.relative_to(root).parts) == 4
            assert ".." not in place.parts
            assert max(len(part.encode()) for part in place.parts) < 200
            assert all(part.isprintable() for part in place.parts)
    for case in cases:
        others = [key for key in study.models if key != case.model.key]
        assert not any(key in case.id or any(key in mark for mark in marks[case]) for key in others)
        assert [part for part in case.id.split("-") if part.startswith(case.pruning.key.split("-")[0])]


@given(FILES)
@FUZZ
def test_a_file_of_pieces_is_a_study_or_one_line(path, data):
    path.write_text(
        "\n".join(f"{quoted(key)} = {toml(value)}" for key, value in data.items()),
        encoding="utf-8",
        errors="surrogatepass",
    )
    if found := loaded(path):
        assert_safe(found.study, found.choices())


@given(
    st.binary(max_size=60)
    | st.sampled_from([b"a = " + b"[" * 100_000, b"a = " + b"9" * 100_000, b"\xff\xfe", b"a." * 9000])
)
@settings(FUZZ, max_examples=60)
def test_bytes_are_a_study_or_one_line(path, content):
    path.write_bytes(content)
    loaded(path)


SELECTIONS = [selection for name in NAMED for selection in Selection.parse(name)]
KEYS = st.from_regex(r"[a-z0-9_./\\-]{1,8}", fullmatch=True) | NAMES


@given(KEYS, KEYS, KEYS, st.sampled_from(SELECTIONS), st.sampled_from([None, *DIVISORS]), LEVELS)
@FUZZ
def test_no_accepted_key_leaves_the_results_folder(model, task, workload, method, divisor, levels):
    try:
        study = Study(
            models={model: ModelVariant(model, "org/name", VariantKind.BASE, tuple(levels))},
            tasks={task: Task(task, Metric("acc"))},
            workloads={workload: Workload(workload, None, 1, 1, 1)},
            suites={"mine": Suite("mine", "", (model,), (task,), workloads=(workload,))},
        )
    except StudyError as error:
        message = str(error)
        assert len(message.splitlines()) == 1
        return
    assert_safe(study, Choices((method,), (divisor,)))


@given(
    st.lists(st.sampled_from(["a", "ab", "b", "p1", "ap1", "x0", "zz", "vo", "l"]), min_size=4, max_size=4),
    st.sampled_from([(0, 1), (10,)]),
)
@settings(FUZZ, max_examples=200)
def test_an_id_with_a_models_or_levels_key_belongs_to_it(keys, levels):
    """What -k sees of a case: a model's key and a level select their own cases and no other one's."""
    first, second, task, workload = keys
    try:
        study = Study(
            models={key: ModelVariant(key, "org/name", VariantKind.BASE, levels) for key in (first, second)},
            tasks={task: Task(task, Metric("acc"))},
            workloads={workload: Workload(workload, None, 1, 1, 1)},
            suites={"suit": Suite("suit", "", (first, second), (task,), workloads=(workload,))},
        )
    except StudyError:
        return
    cases = build_cases(study, SELECTIONS)
    for key in study.models:
        assert {case.model.key for case in cases if key in case.id.lower()} == {key}
    for percent in levels:
        assert {case.pruning.percent for case in cases if f"p{percent}" in case.id.lower()} == {percent}


def test_a_case_knows_nothing_of_paths():
    case = Case(STUDY.models["nano"], Pruning(40, Method.VOW, 64), STUDY.tasks["facts"])
    assert Store(Path("r")).record_path(RecordId(case, 8)) == Path(
        "r/individual_files/nano/p40d64-VOW/nano-p40d64-VOW-facts-limit8.json"
    )
