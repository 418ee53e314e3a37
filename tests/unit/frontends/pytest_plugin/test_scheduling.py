from types import SimpleNamespace

import pytest

from glu_lib.frontends.pytest_plugin import scheduling
from glu_lib.study import STUDY
from glu_lib.study.cases import build_cases

CASES = {case.id: case for case in build_cases(STUDY)}
TASKS = ("facts", "sums")


class Node:
    """A worker as the scheduler sees it: what it was sent, and whether it was told to end."""

    def __init__(self, name):
        self.gateway, self.sent, self.shutting_down = SimpleNamespace(id=name), [], False

    def send_runtest_some(self, indices):
        self.sent += indices

    def shutdown(self):
        self.shutting_down = True


@pytest.fixture
def ids(monkeypatch):
    """Two cases each of four levels, and an ordinary test."""
    monkeypatch.setattr(scheduling, "case_by_node_id", lambda _config, name: CASES.get(name.split("[")[-1].rstrip("]")))
    levels = [f"b.py::test_accuracy[nano-p{level}-{task}]" for level in (0, 10, 20, 30) for task in TASKS]
    return [*levels, "t.py::test_ordinary"]


def schedule(ids, *nodes):
    config = SimpleNamespace(
        getvalue=lambda _name: ["popen"] * len(nodes), option=SimpleNamespace(loadscopereorder=True)
    )
    found = scheduling.LevelScheduling(config, None)
    for node in nodes:
        found.add_node(node)
        found.add_node_collection(node, ids)
    found.schedule()
    return found


def test_a_level_goes_to_one_worker(ids):
    nodes = Node("gw0"), Node("gw1")
    found = schedule(ids, *nodes)
    done = {node: [] for node in nodes}
    while any(node.sent for node in nodes):
        for node in nodes:
            if node.sent:
                index = node.sent.pop(0)
                done[node].append(ids[index])
                found.mark_test_complete(node, index)
    assert sorted(done[nodes[0]] + done[nodes[1]]) == sorted(ids)
    for level in ("p0", "p10", "p20", "p30"):
        assert sum(any(f"nano-{level}-" in name for name in names) for names in done.values()) == 1


def test_the_case_a_worker_dies_of_is_not_given_to_another(ids):
    only = Node("gw0")
    found = schedule(ids[:4], only)
    assert found.remove_node(only) == ids[0]
    replacement = Node("gw1")
    found.add_node(replacement)
    found.add_node_collection(replacement, ids[:4])
    found.schedule()
    while not found.tests_finished:
        found.mark_test_complete(replacement, replacement.sent.pop(0))
    assert found.remove_node(replacement) in (None, ids[3])


def test_complete_levels_of_a_dead_worker_are_dropped(ids):
    only = Node("gw0")
    found = schedule(ids[:6], only)
    for index in range(4):
        found.mark_test_complete(only, index)
    assert found.remove_node(only) == ids[4]
    assert [list(cases) for cases in found.workqueue.values()] == [[ids[4], ids[5]]]
