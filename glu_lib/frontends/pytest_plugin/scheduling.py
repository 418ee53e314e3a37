"""Scheduling under pytest-xdist: one worker per (model, level); a case that crashes its worker is not retried."""

from __future__ import annotations

from xdist.scheduler import LoadGroupScheduling
from xdist.workermanage import WorkerController

from glu_lib.frontends.pytest_plugin.collection import case_by_node_id


class LevelScheduling(LoadGroupScheduling):  # type: ignore[misc]  # pytest-xdist ships no type information
    """`--dist loadgroup` that takes the group from the case.

    pytest-xdist (3.8) appends the group to the node id, which no longer works with pytest (9.2): each test would be its
    own group, and several workers would load the same level.
    """

    def _split_scope(self, nodeid: str) -> str:
        case = case_by_node_id(self.config, nodeid)
        return case.group if case else super()._split_scope(nodeid)

    def remove_node(self, node: WorkerController) -> str | None:
        """Return the open cases of an ended worker to the queue, except the case that crashed it.

        The crashed case is returned and stays pending for `pytest --lf`: a retry in this run could crash one worker
        after another. Complete groups are dropped: a worker that gets one would wait forever.
        """
        work = self.assigned_work[node]
        open_cases = [(group, name) for group, cases in work.items() for name, is_done in cases.items() if not is_done]
        for group, name in open_cases[:1]:
            work[group][name] = True
        for group in [group for group, cases in work.items() if all(cases.values())]:
            del work[group]
        super().remove_node(node)
        return open_cases[0][1] if open_cases else None
