import json
from types import SimpleNamespace

import pytest

from glu_lib.frontends.pytest_plugin.internals import NodeId
from glu_lib.frontends.pytest_plugin.mirror import CASE_PROPERTY, Mirror


def node_ids(count):
    return [NodeId.parse(f"benchmarks/test_accuracy.py::test_accuracy[case{number}]") for number in range(count)]


class Run:
    """A run with pytest's bookkeeping, and a clock that only the test moves."""

    def __init__(self, folder, count):
        (folder / "cache").mkdir()
        (folder / "glu").mkdir()
        self.folder, self.now_s, self.plugin = folder, 0.0, SimpleNamespace(lastfailed={})
        self.config = SimpleNamespace(
            cache=SimpleNamespace(_getvaluepath=folder.joinpath),
            pluginmanager=SimpleNamespace(get_plugin=lambda _name: self.plugin),
        )
        self.mirror, self.ids = Mirror(self.config, self.clock), node_ids(count)
        self.mirror.start(self.ids, self.ids, [])

    def clock(self):
        self.now_s += 0.1
        return self.now_s

    def pass_case(self, number):
        report = SimpleNamespace(
            id=self.ids[number],
            when="call",
            outcome="passed",
            passed=True,
            user_properties=[(CASE_PROPERTY, f"case{number}")],
        )
        self.plugin.lastfailed.pop(report.id)
        self.mirror.pytest_runtest_logreport(report)

    def noted(self, name="cache/lastfailed"):
        return json.loads((self.folder / name).read_text())


def test_a_small_run_is_written_after_every_case(tmp_path):
    run = Run(tmp_path, 3)
    assert len(run.noted()) == 3
    run.pass_case(1)
    assert list(run.noted()) == [str(run.ids[0]), str(run.ids[2])]
    assert run.noted("glu/done") == ["case1"]


def test_a_large_run_is_written_now_and_then_and_never_lacks_an_unfinished_case(tmp_path):
    run = Run(tmp_path, 1500)
    for number in range(20):
        run.pass_case(number)
        assert len(run.noted()) == 1500
    run.now_s += 100
    run.pass_case(20)
    assert len(run.noted()) == 1500 - 21
    run.pass_case(21)
    assert len(run.noted()) == 1500 - 21
    run.mirror.pytest_sessionfinish()
    assert len(run.noted()) == 1500 - 22
    assert len(run.noted("glu/done")) == 22


@pytest.mark.parametrize("count", [3, 1500])
def test_what_another_run_has_noted_meanwhile_is_kept(tmp_path, count):
    run = Run(tmp_path, count)
    other = "benchmarks/test_accuracy.py::test_accuracy[other]"
    (tmp_path / "cache/lastfailed").write_text(json.dumps(run.noted() | {other: True}))
    run.pass_case(0)
    run.mirror.pytest_sessionfinish()
    assert other in map(str, run.plugin.lastfailed)
    assert other in run.noted()


def test_a_case_that_pytest_has_noted_when_a_signal_arrives_is_not_left(tmp_path):
    run = Run(tmp_path, 3)
    run.plugin.lastfailed.pop(run.ids[1])
    assert run.mirror.left == 2


def test_without_pytests_cache_what_is_left_is_counted_all_the_same(tmp_path):
    run = Run(tmp_path, 3)
    run.plugin = None
    assert run.mirror.left == 3
