"""Keys that `-k` can tell apart: pytest matches substrings of names, so no key may be part of another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import permutations, product

from glu_lib.study.asked import Level, level_key

ARCHITECTURE = "architecture"  # in case ids, the place of the task for cases without one
LAYER_SCAN = "layer_scan"  # the same for layer scans
OPERATORS = ("and", "or", "not")  # of -k expressions
# -k matches the names of the folder and files of the cases too.
_NAMES = ("benchmarks", "test_accuracy.py", "test_architecture.py", "test_carbon.py", "test_layers.py")
_WORDS = ("layers", "only", "spared", "ofmodel")  # of layer sets
_YOURS = ("model key", "task or workload key", "suite or marker")  # kinds of names that a study file can add


def clashes(
    models: Mapping[str, Iterable[Level]],
    subjects: Iterable[str],
    methods: Iterable[str],
    marks: Iterable[str],
    controls: Iterable[str] = (),
) -> Iterator[str]:
    """One line for each key with which `-k` would select something else too.

    Args:
        models: keys of models with their levels.
        subjects: keys of tasks and workloads; a key that is declared twice appears twice.
        methods: names of pruning methods.
        marks: names of pytest markers, including the suites.
        controls: keys of controls, which stand in ids in place of a level.
    """
    subjects, methods = list(subjects), [method.lower() for method in methods]
    controls = [str(control) for control in controls]
    levels = [*dict.fromkeys(level_key(level) for found in models.values() for level in found), *controls]
    fixed = [*(("level", level) for level in levels), *(("pruning method", method) for method in methods)]
    others = [
        *(("task or workload key", key) for key in subjects),
        *fixed,
        *(("word of case ids", word) for word in (ARCHITECTURE, LAYER_SCAN, *_WORDS)),
        *(("file or folder", name) for name in _NAMES),
        *(("suite or marker", mark) for mark in marks),
    ]
    together = "\n".join(models)
    for key in models:
        if together.count(key) > 1:  # once is itself; all pairs of thousands of models would take minutes
            yield from (_part("model", key, "model key", other) for other in models if other != key and key in other)
    for key in models:
        yield from (_part("model", key, kind, other) for kind, other in others if key in other)
    for key in subjects:
        if key in OPERATORS:
            yield f"key {key!r} is a word of -k expressions; rename it"
        if subjects.count(key) > 1 or key in (ARCHITECTURE, LAYER_SCAN):
            yield f"key {key!r} is used for a task or workload and for something else: ids must be unique; rename it"
        # A model key may contain a task key, because some task keys are as short as `rte`.
        yield from (_part("task or workload", key, kind, other) for kind, other in fixed if key in other)
    for kind, keys in (("model key", models), ("task or workload key", subjects), ("suite", marks)):
        for key in keys:
            for level in levels:
                if level in key:
                    yield f"{kind} {key!r} contains the level {level}: -k {level} would select both; rename the key"
    for mark in marks:
        for control in controls:
            if mark in control:
                yield f"suite {mark!r} is part of the level {control!r}: -k {mark} would select both; rename the suite"


def same_ids(methods: Iterable[str]) -> Iterator[str]:
    """One line for each method of a run that `-k` would select together with another one: `random1` and `random10`."""
    methods = list(methods)
    for key in dict.fromkeys(key for key in methods if methods.count(key) > 1):
        yield f"two score files are called {key.removeprefix('file_')!r}: their cases would have one id; rename one"
    for key, other in permutations(dict.fromkeys(methods), 2):
        if key.lower() in other.lower() and key != "PPM":  # PPM is not written in ids
            yield f"methods {key} and {other}: -k {key} would select both; leave one out, or rename it"


def hidden_in(files: Iterable[str], names: Iterable[str]) -> Iterator[str]:
    """One line for each score file in whose key another name of the study is hidden: `file_p40` would be -k p40 too."""
    for key, name in product(files, dict.fromkeys(names)):
        if name in key:
            yield f"score file {key.removeprefix('file_')!r} contains {name!r}: -k {name} would select both; rename it"


def _part(kind: str, key: str, other_kind: str, other: str) -> str:
    """One line on a model, task or workload whose key is part of another name."""
    rename = "the one that you added" if other_kind in _YOURS else f"the {kind}"
    return f"{kind} key {key!r} is part of the {other_kind} {other!r}: -k {key} would select both; rename {rename}"


ON_REQUEST = ("carbon", "alignment", "serving", "layers")  # suites that run only when they are asked for with -m
