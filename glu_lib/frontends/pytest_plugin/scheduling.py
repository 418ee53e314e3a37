"""How pytest-xdist shares cases out: a (model, level) to one worker; a case that ends its worker is not repeated."""

from __future__ import annotations

from xdist.scheduler import LoadGroupScheduling
from xdist.workermanage import WorkerController

from glu_lib.frontends.pytest_plugin.collection import case_by_node_id


class LevelScheduling(LoadGroupScheduling):  # type: ignore[misc]  # pytest-xdist ships no type information
    """`--dist loadgroup` by the cases themselves.

    pytest-xdist (3.8) writes the group behind the node id, where pytest (9.2) does not look any more: each test would
    be a group of its own, and each level be loaded by several workers.
    """

    def _split_scope(self, nodeid: str) -> str:
        case = case_by_node_id(self.config, nodeid)
        return case.group if case else super()._split_scope(nodeid)

    def remove_node(self, node: WorkerController) -> str | None:
        """Let others have what is left of a worker that has ended; returns the case that it died of, if it did.

        That case stays pending for `pytest --lf`: repeated at once, it could take one worker after the other with it.
        Groups that are complete are dropped: handed to a worker, they would leave it waiting for ever.
        """
        work = self.assigned_work[node]
        open_cases = [(group, name) for group, cases in work.items() for name, is_done in cases.items() if not is_done]
        for group, name in open_cases[:1]:
            work[group][name] = True
        for group in [group for group, cases in work.items() if all(cases.values())]:
            del work[group]
        super().remove_node(node)
        return open_cases[0][1] if open_cases else None
