"""Keys that `-k` can tell apart: pytest matches substrings of names, so no key may be part of another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import permutations

ARCHITECTURE = "architecture"  # in case ids, the place of the task for cases without one
OPERATORS = ("and", "or", "not")  # of -k expressions
# -k matches the names of the folder and files of the cases too.
_NAMES = ("benchmarks", "test_accuracy.py", "test_architecture.py", "test_carbon.py")


def clashes(
    models: Mapping[str, Iterable[int]],
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
    levels = [*dict.fromkeys(f"p{percent}" for percents in models.values() for percent in percents), *controls]
    for key, other in permutations(models, 2):
        if key in other:
            yield f"model key {key!r} is part of {other!r}: -k {key} would select both; rename one"
    for key in models:
        for other in (*subjects, *levels, *methods, ARCHITECTURE, *_NAMES, *marks):
            if key in other:
                yield f"model key {key!r} is part of {other!r}: -k {key} would select both; rename it"
    for key in subjects:
        if key in OPERATORS:
            yield f"key {key!r} is a word of -k expressions; rename it"
        if subjects.count(key) > 1 or key == ARCHITECTURE:
            yield f"key {key!r} is used for a task or workload and for something else: ids must be unique; rename it"
        # A model key may contain a task key, because some task keys are as short as `rte`.
        for other in (*levels, *methods):
            if key in other:
                yield f"task or workload key {key!r} is part of {other!r}: -k {key} would select both; rename it"
    for key in (*models, *subjects, *marks):
        for level in levels:
            if level in key:
                yield f"key {key!r} contains the level {level}: -k {level} would select both; rename it"
    for mark in marks:
        for control in controls:
            if mark in control:
                yield f"key {mark!r} is part of the level {control}: -k {mark} would select both; rename it"


ON_REQUEST = ("carbon", "alignment")  # suites that run only when they are asked for with -m
