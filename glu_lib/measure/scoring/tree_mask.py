"""Which tokens of a tree of shared prefixes attend to which."""

from __future__ import annotations

from itertools import pairwise

import torch

from glu_lib.measure.scoring.packing import Tree


def ancestors(tree: Tree) -> torch.Tensor:
    """Boolean matrix (size, size): whether node i may attend to node j, its ancestor or itself."""
    size = len(tree.tokens)
    if tree.is_chain:
        return torch.ones((size, size), dtype=torch.bool).tril()
    allowed = torch.zeros((size, size), dtype=torch.bool)
    # In a run, each node is the child of the one before. A node attends to what the run's parent attends to, and to
    # the run up to itself.
    starts = [node for node, parent in enumerate(tree.parents) if parent != node - 1 or node == 0]
    for start, stop in pairwise([*starts, size]):
        if tree.parents[start] >= 0:
            allowed[start:stop] = allowed[tree.parents[start]]
        allowed[start:stop, start:stop] = torch.ones((stop - start, stop - start), dtype=torch.bool).tril()
    return allowed
