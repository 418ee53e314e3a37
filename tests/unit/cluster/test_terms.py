import pytest

from glu_lib.cluster.terms import hardware, refusal, remarks
from glu_lib.machine.environment import Environment
from glu_lib.study.settings import DType
from glu_lib.version import __version__

VERSIONS = {"torch": "2.13", "transformers": "5.23", "optipfair": "0.4", "lm_eval": "0.4.13"}
HERE = Environment(
    "cpu", DType.FLOAT32, 1, None, VERSIONS, "a processor", cores=2, memory_bytes=1, gpu=None, git_commit="abc" * 10
)


def terms(**changes):
    return {"suite": __version__} | HERE.as_dict() | changes


def test_the_same_machine_is_welcome():
    assert refusal(terms(), "n", HERE) is None
    assert list(remarks({"n": terms()}, HERE)) == []


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"suite": "9"},
            f"--cluster: node n has version 9 of the suite, this machine {__version__}; check out the same commit on "
            "every node",
        ),
        (
            {"git_commit": None},
            "--cluster: node n runs commit unknown (no git checkout), this machine abcabcabcabc; check out the same "
            "commit on every node",
        ),
        (
            {"versions": VERSIONS | {"lm_eval": "0.3"}},
            "--cluster: node n has lm_eval 0.3, this machine 0.4.13: records of both would not be comparable; install "
            "the same version (constraints.txt)",
        ),
        (
            {"dtype": "bfloat16"},
            "--cluster: node n would use bfloat16, this machine plans with float32; add --dtype bfloat16",
        ),
    ],
)
def test_what_would_change_a_done_key_is_one_line(changes, line):
    assert refusal(terms(**changes), "n", HERE) == line


def test_other_versions_are_named():
    found = {"n": terms(versions=VERSIONS | {"torch": "2.12"}), "m": terms()}
    assert refusal(found["n"], "n", HERE) is None
    assert list(remarks(found, HERE)) == ["torch 2.13 here, 2.12 on nodes of the cluster"]
    assert hardware(found["n"]) == "a processor"
    assert hardware(terms(gpu="H100")) == "H100"
