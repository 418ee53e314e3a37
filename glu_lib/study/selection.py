"""Which keys `-k` can tell apart: pytest matches parts of names, so no key may hide in another one's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import permutations

ARCHITECTURE = "architecture"  # what stands in the id of a case without a task
# Words of -k expressions, and names that it sees beside the ids: folder, files, functions and marks of the cases.
OPERATORS = ("and", "or", "not")
_NAMES = ("benchmarks", "test_accuracy.py", "test_architecture.py", "test_carbon.py")


def clashes(
    models: Mapping[str, Iterable[int]], subjects: Iterable[str], methods: Iterable[str], marks: Iterable[str]
) -> Iterator[str]:
    """One line for each key that `-k` would mistake for another.

    Args:
        models: keys of models with their levels.
        subjects: keys of tasks and workloads, each as often as it was declared.
        methods: names of pruning methods.
        marks: names of pytest markers, the suites among them.
    """
    subjects, methods = list(subjects), [method.lower() for method in methods]
    levels = list(dict.fromkeys(f"p{percent}" for percents in models.values() for percent in percents))
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
            yield f"key {key!r} stands for a task or workload and for something else: ids must be unique; rename it"
        # Not in models: built-in tasks have names as short as `rte`, and a model is chosen with its level as well.
        for other in (*levels, *methods):
            if key in other:
                yield f"task or workload key {key!r} is part of {other!r}: -k {key} would select both; rename it"
    for key in (*models, *subjects, *marks):
        for level in levels:
            if level in key:
                yield f"key {key!r} has the level {level} in it: -k {level} would select both; rename it"


ON_REQUEST = ("carbon", "alignment")  # suites that run only when they are asked for with -m
