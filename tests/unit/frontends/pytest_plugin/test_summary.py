import pytest

from glu_lib.frontends.pytest_plugin.tables import _untested_line


@pytest.mark.parametrize(
    ("untested", "line"),
    [
        (["nano-p40-facts: run p0"], "1 change was not tested (nano-p40-facts): run p0"),
        (
            ["nano-p40-facts: run p0", "nano-p60-facts: run p0"],
            "2 changes were not tested (nano-p40-facts, nano-p60-facts): run p0",
        ),
        (
            ["nano-p40-facts: run p0", "nano-p40-sums: 4 items; raise --limit"],
            "2 changes were not tested (nano-p40-facts, nano-p40-sums); the report gives the reasons",
        ),
        (["nano-p40-facts: run p0"] * 2, "2 changes were not tested (nano-p40-facts): run p0"),
        ([f"nano-p{level}-facts: run p0" for level in (10, 20, 30, 40)], "4 changes were not tested: run p0"),
    ],
)
def test_a_reason_shared_by_all_untested_changes_is_in_the_line(untested, line):
    assert _untested_line(untested) == line
