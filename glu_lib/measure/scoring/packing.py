"""Pack requests into trees of shared prefixes, and trees into rows of a batch. Needs no torch.

A request is a sequence of tokens to forward through the model. Requests are sorted, and each one adds to a *tree* only
the tokens after the prefix that it shares with the one before it, so a tree holds each distinct prefix once. A row can
hold several trees, because a token attends only to the tokens before it in its own request.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

Tokens = tuple[int, ...]

MIN_SHARED = 16  # a shorter common prefix is not worth a separate cache
_GOOD_ENOUGH = 1.05  # a plan of at most this × the distinct tokens is accepted without a further search
_DEPTH = 32  # of nested splits
_CALL_TOKENS = 64  # cost of the extra forward pass for a prefix, in tokens
_STEP_TOKENS = 8  # cost of a decoding step with few rows, in tokens of a prompt; answers are half their limit long
_BRANCHES = 0.25  # share by which a tree may exceed its longest request; a cache for the prefix would cost more


@dataclass(slots=True)
class Tree:
    """The distinct tokens of some requests, as parallel lists in which parents come before children.

    `parents` holds indices into the tree, -1 for a root. `paths` gives the indices of each request's tokens, from
    first to last. In a *chain* each token is the child of the one before it, so that plain causal attention is right.
    """

    tokens: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    paths: dict[Tokens, list[int]] = field(default_factory=dict)
    is_chain: bool = True

    def add(self, request: Tokens, previous: Sequence[int], shared: int) -> list[int]:
        """Add `request` and return its path; its first `shared` tokens are those of the path `previous`."""
        path = list(previous[:shared])
        size = len(self.tokens)
        added = range(size, size + len(request) - shared)
        if added:
            parent = path[-1] if path else -1
            self.is_chain = self.is_chain and parent == size - 1
            self.tokens.extend(request[shared:])
            self.parents.extend([parent, *added[:-1]])
            self.depths.extend(range(shared, len(request)))
        self.paths[request] = path = [*path, *added]
        return path


@dataclass(slots=True)
class Group:
    """Requests with a common prefix that is computed once; `trees` hold the tokens after it."""

    prefix: Tokens
    trees: list[Tree]


def common_length(a: Tokens, b: Tokens) -> int:
    """Length of the longest common prefix."""
    length = min(len(a), len(b))
    if a[:length] == b[:length]:
        return length
    low, high = 0, length  # invariant: low <= common length <= high
    while low < high:
        middle = (low + high + 1) // 2
        if a[:middle] == b[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def plan(scored: Mapping[Tokens, int], row_tokens: int) -> list[Group]:
    """Split requests into groups of trees that fit into rows of `row_tokens` tokens.

    A tree may be longer than a row, but then at most by the share `_BRANCHES` longer than the longest request.
    Requests whose tree fits into a row, or is little longer than its longest request, form a group without a prefix.
    Otherwise their common prefix becomes the group's prefix, unless several groups with longer prefixes need fewer
    tokens in total. Each token appears at least once; where a tree is split, the tokens of a shared path are repeated.

    Args:
        scored: for each request, the number of its last positions that are scored; they never go into a prefix.
        row_tokens: most tokens of a row.
    """
    ordered = sorted(scored)
    if not ordered:
        return []
    groups = _Planner(ordered, scored, row_tokens).best(0, len(ordered), 0).groups
    loose = [tree for group in groups if not group.prefix for tree in group.trees]
    return [*(group for group in groups if group.prefix), *([Group((), loose)] if loose else [])]


@dataclass(frozen=True, slots=True)
class _Plan:
    """Groups, and the number of tokens that they forward (`cost`)."""

    groups: list[Group]
    cost: int


class _Planner:
    """Decides recursively whether sorted requests are cheaper as one group or split into several."""

    def __init__(self, ordered: Sequence[Tokens], scored: Mapping[Tokens, int], row_tokens: int) -> None:
        self._ordered = ordered
        self._shared = [common_length(a, b) for a, b in pairwise(ordered)]
        self._open = [len(request) - scored[request] for request in ordered]  # tokens before the scored positions
        self._row_tokens = row_tokens

    def best(self, start: int, stop: int, depth: int) -> _Plan:
        """The cheapest plan for requests `start` to `stop`."""
        together = self._together(start, stop)
        inner = self._shared[start : stop - 1]
        distinct = sum(map(len, self._ordered[start:stop])) - sum(inner)
        if together.cost <= distinct * _GOOD_ENOUGH or not inner or depth == _DEPTH:
            return together
        least = min(inner)
        cuts = [start, *(start + 1 + place for place, length in enumerate(inner) if length == least), stop]
        parts = [self.best(begin, end, depth + 1) for begin, end in pairwise(cuts)]
        cost = sum(part.cost for part in parts)
        groups = [group for part in parts for group in part.groups]
        calls = _CALL_TOKENS * sum(bool(group.prefix) for group in groups)
        return _Plan(groups, cost) if cost + calls < together.cost else together

    def _together(self, start: int, stop: int) -> _Plan:
        """The plan with all requests in one group, without a prefix if their tree fits into a row."""
        members, inner = self._ordered[start:stop], self._shared[start : stop - 1]
        prefix = min([*inner, *self._open[start:stop]])
        room = max(self._row_tokens, int(max(map(len, members)) * (1 + _BRANCHES)))
        if sum(map(len, members)) - sum(inner) <= room or prefix < MIN_SHARED:
            group = Group((), list(_trees(members, inner, room, skip=0)))
        else:
            group = Group(members[0][:prefix], list(_trees(members, inner, self._row_tokens, skip=prefix)))
        return _Plan([group], len(group.prefix) + sum(len(tree.tokens) for tree in group.trees))


def pack_rows(trees: Sequence[Tree], row_tokens: int) -> list[list[Tree]]:
    """Pack trees into rows of at most `row_tokens` tokens: best fit, largest first. A larger tree gets its own row."""
    packed: list[list[Tree]] = []
    by_room: list[list[int]] = [[] for _ in range(row_tokens + 1)]  # rows by the number of tokens that still fit
    for tree in sorted(trees, key=lambda tree: -len(tree.tokens)):
        size = len(tree.tokens)
        room = next((room for room in range(size, row_tokens + 1) if by_room[room]), None)
        if room is None:
            room, row = max(row_tokens, size), len(packed)
            packed.append([])
        else:
            row = by_room[room].pop()
        packed[row].append(tree)
        by_room[room - size].append(row)
    return sorted(packed, key=lambda row: -sum(len(tree.tokens) for tree in row))


def _families(shared: Sequence[int], count: int) -> Iterator[tuple[int, int]]:
    """Ranges of sorted requests in which neighbours share at least `MIN_SHARED` tokens."""
    start = 0
    for place in range(1, count):
        if shared[place - 1] < MIN_SHARED:
            yield start, place
            start = place
    yield start, count


def _trees(members: Sequence[Tokens], shared: Sequence[int], row_tokens: int, *, skip: int) -> Iterator[Tree]:
    """Trees of consecutive requests without their first `skip` tokens, each of at most `row_tokens` tokens.

    A request that shares few tokens with the previous one starts a new tree, because a chain needs no mask.
    """
    tree = Tree()
    path: list[int] = []
    for place, request in enumerate(members):
        common = shared[place - 1] - skip if place and tree.tokens else 0
        size = len(request) - skip
        is_stranger = common < min(MIN_SHARED, size * _BRANCHES)
        if tree.tokens and (is_stranger or len(tree.tokens) + size - common > row_tokens):
            yield tree
            tree, path, common = Tree(), [], 0
        path = tree.add(request[skip:], path, common)
    yield tree


def distinct_tokens(requests: Iterable[Tokens]) -> int:
    """Number of tokens in the tree of all requests: the least number that must be computed."""
    ordered = sorted(requests)
    shared = sum(common_length(a, b) for a, b in pairwise(ordered))
    return sum(map(len, ordered)) - shared


def prompt_batches(prompts: Sequence[Tokens], batch_size: int) -> Iterator[tuple[Tokens, list[Tokens]]]:
    """Batches of prompts of similar length, each with the prefix that all prompts of the batch share.

    The prefix never includes the last token of a prompt. Prefixes shorter than `MIN_SHARED` are not split off.
    """
    ordered = sorted(set(prompts))
    shared = [common_length(a, b) for a, b in pairwise(ordered)]
    loose: list[Tokens] = []
    for start, stop in _families(shared, len(ordered)) if ordered else ():
        members = ordered[start:stop]
        prefix = min([*shared[start : stop - 1], *(len(prompt) - 1 for prompt in members)])
        if stop - start == 1 or prefix < MIN_SHARED:
            loose += members
            continue
        for batch in _by_length(members, batch_size):
            yield members[0][:prefix], batch
    for batch in _by_length(loose, batch_size):
        yield (), batch


def prompt_families(
    prompts: Sequence[Tokens], seats: int, max_new_tokens: int
) -> Iterator[tuple[Tokens, list[Tokens]]]:
    """Groups of prompts that are decoded together, the longest first, each with the prefix that they all share.

    The prefix never includes the last token of a prompt. Prompts that begin alike are decoded apart from the others
    only if they fill all seats, or if computing their prefix once saves more than the steps that they need for
    themselves; all others form one group without a prefix.
    """
    ordered = sorted(set(prompts))
    shared = [common_length(a, b) for a, b in pairwise(ordered)]
    loose: list[Tokens] = []
    for start, stop in _families(shared, len(ordered)) if ordered else ():
        members = ordered[start:stop]
        prefix = min([*shared[start : stop - 1], *(len(prompt) - 1 for prompt in members)])
        saves_steps = len(members) >= seats or (len(members) - 1) * prefix >= _STEP_TOKENS * max_new_tokens
        is_apart = len(members) > 1 and (saves_steps or len(members) == len(ordered))
        if prefix < MIN_SHARED or not is_apart:
            loose += members
            continue
        yield members[0][:prefix], sorted(members, key=len, reverse=True)
    if loose:
        yield (), sorted(loose, key=len, reverse=True)


def _by_length(prompts: Sequence[Tokens], batch_size: int) -> Iterator[list[Tokens]]:
    ordered = sorted(prompts, key=len, reverse=True)
    for start in range(0, len(ordered), batch_size):
        yield ordered[start : start + batch_size]
