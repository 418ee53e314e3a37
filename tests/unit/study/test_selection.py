import pytest

from glu_lib.study import STUDY, Control, Method
from glu_lib.study.selection import clashes

LEVELS = (0, 10, 40)


def lines(models, subjects=(), marks=("paper",), controls=()):
    return list(clashes(dict.fromkeys(models, LEVELS), subjects, Method, marks, controls))


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (
            lines(["mine", "mine2"]),
            "model key 'mine' is part of the model key 'mine2': -k mine would select both; rename the one that you",
        ),
        (
            lines(["qa"], ["piqa"]),
            "model key 'qa' is part of the task or workload key 'piqa': -k qa would select both; rename the one that",
        ),
        (
            lines(["pap"]),
            "model key 'pap' is part of the suite or marker 'paper': -k pap would select both; rename the one",
        ),
        (
            lines(["arch"]),
            "model key 'arch' is part of the word of case ids 'architecture': -k arch would select both; rename the",
        ),
        (
            lines(["vow"]),
            "model key 'vow' is part of the pruning method 'vow': -k vow would select both; rename the mod",
        ),
        (lines(["p1"]), "model key 'p1' is part of the level 'p10': -k p1 would select both; rename the model"),
        (
            lines(["mark"]),
            "model key 'mark' is part of the file or folder 'benchmarks': -k mark would select both; rename the model",
        ),
        (
            lines(["mine"], ["vo"]),
            "task or workload key 'vo' is part of the pruning method 'vow': -k vo would select both; rename the",
        ),
        (
            lines(["mine"], ["4"]),
            "task or workload key '4' is part of the level 'p40': -k 4 would select both; rename the task or workload",
        ),
        (lines(["mine"], ["not"]), "key 'not' is a word of -k expressions; rename it"),
        (
            lines(["mine"], ["piqa", "piqa"]),
            "key 'piqa' is used for a task or workload and for something else: ids must",
        ),
        (lines(["mine"], ["architecture"]), "key 'architecture' is used for a task or workload and for something else"),
        (lines(["mine"], ["gp10x"]), "task or workload key 'gp10x' contains the level p10: -k p10 would select both;"),
        (lines(["mine"], [], ["grp40"]), "suite 'grp40' contains the level p40: -k p40 would select both; rename the"),
    ],
)
def test_a_key_that_k_would_mistake_is_named(found, message):
    assert found[0].startswith(message)


def test_the_built_in_study_has_no_clash():
    levels = {key: model.levels for key, model in STUDY.models.items()}
    assert list(clashes(levels, (*STUDY.tasks, *STUDY.workloads), Method, STUDY.suites)) == []
    assert lines(["mine", "quarter"], ["piqa", "mmlu", "mmlu_latency_b1", "rte"]) == []


@pytest.mark.parametrize(
    ("models", "subjects", "marks", "message"),
    [
        (["mlp"], [], [], "model key 'mlp' is part of the level 'nomlp': -k mlp would select both; rename the model"),
        (
            ["untrained1b"],
            [],
            [],
            "model key 'untrained1b' contains the level untrained: -k untrained would select both",
        ),
        (
            ["mine"],
            ["train"],
            [],
            "task or workload key 'train' is part of the level 'untrained': -k train would select both",
        ),
        (
            ["mine"],
            ["nomlp_qa"],
            [],
            "task or workload key 'nomlp_qa' contains the level nomlp: -k nomlp would select both",
        ),
        (
            ["mine"],
            [],
            ["nomlps"],
            "suite 'nomlps' contains the level nomlp: -k nomlp would select both; rename the key",
        ),
        (["mine"], [], ["trained"], "suite 'trained' is part of the level 'untrained': -k trained would select both"),
    ],
)
def test_a_key_that_k_would_mistake_for_a_control_is_named_only_where_there_are_controls(
    models, subjects, marks, message
):
    assert lines(models, subjects, marks, Control)[0].startswith(message)
    assert lines(models, subjects, marks) == []
