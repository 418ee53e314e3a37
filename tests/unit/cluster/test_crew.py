from collections import defaultdict
from types import SimpleNamespace

import pytest

from glu_lib.cluster import crew as tested
from glu_lib.cluster.crew import Crew, Died, Dropped, NoWorkers
from glu_lib.cluster.engine import Handle, Lost
from glu_lib.cluster.messages import Answered, Broken, Finished, Idle, Started, Work
from glu_lib.cluster.slots import Slot
from glu_lib.cluster.turns import Turns, groups_of
from glu_lib.errors import ClusterError
from glu_lib.study import STUDY
from glu_lib.study.cases import build_cases

CASES = [case for case in build_cases(STUDY) if case.id in ("nano-p40-facts", "nano-p40-sums")]
FACTS, SUMS = (case.id for case in CASES)
KILLED = Lost(with_node=False, text="killed")
NODE = Lost(with_node=True, text="no heartbeat")


def slot(node):
    return Slot(node, node, cpus=1, gpus=0, kind=None, beside=1)


class Engine:
    """Workers that say what a test has written down for them: one list of events for each poll, in turn."""

    START_S = 1.0

    def __init__(self, scripts, terms=({}, "")):
        self.scripts = defaultdict(list, {name: list(script) for name, script in scripts.items()})
        self.terms = terms
        self.started, self.dismissed, self.given = [], [], []

    def start(self, place):
        self.started.append(place.node)
        return Handle(place, actor=f"{place.node}{self.started.count(place.node)}")

    def call(self, worker, name, *arguments):
        if name == "poll" and arguments[0] is not None:
            self.given.append((worker.actor, *arguments[0].cases))
        return SimpleNamespace(worker=worker, name=name)

    def answer(self, worker, call, _wait_s=None):
        if call.name == "terms":
            return self.terms
        script = self.scripts[worker.actor]
        return script.pop(0) if script else []

    def first_ready(self, calls, _wait_s):
        return list(calls)

    def last(self, call, _wait_s):
        return self.answer(call.worker, call)

    def shared(self, value):
        return value

    def dismiss(self, worker):
        self.dismissed.append(worker.actor)


@pytest.fixture
def run(monkeypatch):
    def start(engine, *nodes):
        monkeypatch.setattr(tested, "engine", engine)
        found = Crew([slot(node) for node in nodes])
        found.muster(settings=None)
        given_back = []

        def offer(group):
            return Work(group.key, tuple(case.id for case in group.cases), {})

        happenings = found.run(Turns(groups_of(CASES)), None, None, offer, given_back.append)
        return [happening.event for happening in happenings], given_back

    return start


def finished(case_id):
    return Finished(case_id, (), {})


def test_a_group_is_measured_and_given_back(run):
    answered = Answered(FACTS, 0, b"x")
    engine = Engine(
        {"a1": [[Idle()], [Started(FACTS), answered, finished(FACTS)], [Started(SUMS), finished(SUMS), Idle()]]}
    )
    events, given_back = run(engine, "a")
    assert events == [answered, finished(FACTS), finished(SUMS)]
    assert [group.key for group in given_back] == ["nano-p40"]
    assert engine.given == [("a1", FACTS, SUMS)]


def test_a_worker_that_ends_costs_its_case_and_is_replaced(run):
    engine = Engine(
        {"a1": [[Idle()], [Started(FACTS)], KILLED], "a2": [[Idle()], [Started(SUMS), finished(SUMS), Idle()]]}
    )
    events, _ = run(engine, "a")
    assert events == [
        Died(
            FACTS,
            f"{FACTS}: the worker on node a ended (killed) in the middle of this case; go on with: pytest --lf",
        ),
        finished(SUMS),
    ]
    assert engine.given == [("a1", FACTS, SUMS), ("a2", SUMS)]
    assert engine.dismissed == ["a1"]


def test_the_case_of_a_lost_node_moves_once(run):
    engine = Engine(
        {
            "a1": [[Idle()], [Started(FACTS)], NODE],
            "b1": [[], [], [], [Idle()], [Started(FACTS)], NODE],
            "c1": [[], [], [], [], [], [], [], [Idle()], [Started(SUMS), finished(SUMS), Idle()]],
        }
    )
    events, _ = run(engine, "a", "b", "c")
    assert events == [
        Dropped("node a is lost"),
        Died(
            FACTS,
            f"{FACTS}: node b is lost in the middle of this case, after node a was lost; go on with: pytest --lf",
        ),
        finished(SUMS),
    ]
    assert engine.given == [("a1", FACTS, SUMS), ("b1", FACTS, SUMS), ("c1", SUMS)]
    assert engine.started == ["a", "b", "c"]  # a lost node gets no new worker


def test_without_a_worker_the_cases_wait_with_one_line(run):
    events, _ = run(Engine({"a1": [[Broken("ImportError: no torch")]]}), "a")
    why = "the worker on node a ended (ImportError: no torch)"
    assert events == [
        Dropped(why),
        NoWorkers((FACTS, SUMS), f"no worker of the cluster is left: {why}"),
    ]


def test_answers_of_a_case_that_has_ended_are_dropped(run):
    late = Answered(FACTS, 5, b"late")
    engine = Engine({"a1": [[Idle()], [Started(FACTS), finished(FACTS), late, Started(SUMS), finished(SUMS), Idle()]]})
    assert run(engine, "a")[0] == [finished(FACTS), finished(SUMS)]


@pytest.mark.parametrize("terms", [({}, "no GPU"), Lost(with_node=False, text="no GPU")])
def test_a_worker_that_cannot_start_ends_the_run_before_it_is_planned(run, terms):
    with pytest.raises(ClusterError, match="^--cluster: the worker on node a cannot start: no GPU$"):
        run(Engine({}, terms=terms), "a")
