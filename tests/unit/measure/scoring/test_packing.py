from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from glu_lib.measure.scoring.packing import (
    Tree,
    common_length,
    distinct_tokens,
    pack_rows,
    plan,
    prompt_batches,
    prompt_families,
)

TOKENS = st.lists(st.integers(3, 9), min_size=1, max_size=40).map(tuple)


@given(st.dictionaries(TOKENS, st.just(1), max_size=20), st.integers(4, 60))
def test_every_request_is_planned_once_with_its_own_tokens(requests, row_tokens):
    found = []
    for group in plan(requests, row_tokens):
        for tree in group.trees:
            for suffix, path in tree.paths.items():
                assert tuple(tree.tokens[node] for node in path) == suffix
                assert [tree.depths[node] for node in path] == list(range(len(path)))
                assert all(tree.parents[child] == parent for parent, child in pairwise(path))
                found.append(group.prefix + suffix)
        packed = pack_rows(group.trees, row_tokens)
        assert sum(map(len, packed)) == len(group.trees)
        assert all(len(row) == 1 or sum(len(tree.tokens) for tree in row) <= row_tokens for row in packed)
    assert sorted(found) == sorted(requests)


@given(st.lists(TOKENS, max_size=20), st.integers(1, 5))
def test_every_prompt_is_in_one_batch_behind_its_own_prefix(prompts, batch_size):
    found = []
    for prefix, batch in prompt_batches(prompts, batch_size):
        assert 1 <= len(batch) <= batch_size
        assert all(prompt[: len(prefix)] == prefix and len(prompt) > len(prefix) for prompt in batch)
        found += batch
    assert sorted(found) == sorted(set(prompts))


@given(TOKENS, TOKENS)
def test_the_common_length_is_the_longest(a, b):
    length = common_length(a, b)
    assert a[:length] == b[:length]
    assert length in (len(a), len(b)) or a[length] != b[length]


@given(st.sets(TOKENS, max_size=12))
def test_distinct_tokens_are_the_nodes_of_the_trie(requests):
    assert distinct_tokens(requests) == len(
        {request[:end] for request in requests for end in range(1, len(request) + 1)}
    )


def test_a_tree_is_a_chain_until_it_branches():
    tree = Tree()
    path = tree.add((1, 2), (), 0)
    path = tree.add((1, 2, 3, 4), path, 2)
    assert tree.is_chain
    tree.add((1, 2, 5), path, 2)
    assert not tree.is_chain
    assert (tree.parents, tree.depths) == ([-1, 0, 1, 2, 1], [0, 1, 2, 3, 2])


def test_long_contexts_with_short_branches_are_no_group_of_their_own():
    context = tuple(range(600))
    requests = {(*context, -choice, *([0] * choice)): choice + 1 for choice in range(1, 5)}
    (group,) = plan(requests, 512)
    assert (group.prefix, len(group.trees)) == ((), 1)
    assert len(group.trees[0].tokens) == distinct_tokens(requests)


def test_many_requests_behind_one_context_get_it_as_their_prefix():
    context = tuple(range(300))
    (group,) = plan({(*context, -k, *range(k, k + 80)): 1 for k in range(1, 9)}, 512)
    assert group.prefix == context
    assert sum(len(tree.tokens) for tree in group.trees) == 8 * 81


@given(st.lists(st.integers(1, 70), max_size=40))
def test_rows_hold_each_tree_once_and_no_more_than_fits(sizes):
    trees = []
    for number, size in enumerate(sizes):
        tree = Tree()
        tree.add((number, *range(size - 1)), (), 0)
        trees.append(tree)
    packed = pack_rows(trees, 64)
    assert sorted(id(tree) for row in packed for tree in row) == sorted(map(id, trees))
    widths = [sum(len(tree.tokens) for tree in row) for row in packed]
    assert widths == sorted(widths, reverse=True)
    assert all(width <= 64 or len(row) == 1 for row, width in zip(packed, widths, strict=True))


@given(
    st.lists(
        st.tuples(
            st.sampled_from([(), (1,) * 20, (1,) * 20 + (2,) * 20, (7,) * 30]), st.lists(st.integers(0, 5), min_size=1)
        ),
        max_size=30,
    ),
    st.integers(1, 8),
    st.integers(1, 300),
)
def test_families_hold_each_prompt_once_behind_the_prefix_that_they_share(parts, seats, most):
    prompts = [(*beginning, *rest) for beginning, rest in parts]
    found = list(prompt_families(prompts, seats, most))
    assert sorted(prompt for _, members in found for prompt in members) == sorted(set(prompts))
    for prefix, members in found:
        assert all(prompt[: len(prefix)] == prefix and len(prompt) > len(prefix) for prompt in members)
        assert [len(prompt) for prompt in members] == sorted(map(len, members), reverse=True)
        assert not prefix or (len(prefix) >= 16 and len(members) > 1)
    assert sum(not prefix for prefix, _ in found) <= 1


def test_a_family_is_decoded_apart_if_that_saves_more_than_its_own_steps():
    few = [((1,) * 100 + (k,)) for k in range(3)]  # two prefixes of 100 tokens saved: the cost of 25 steps
    others = [(9, k) for k in range(3)]
    assert [len(prefix) for prefix, _ in prompt_families(few + others, 32, 25)] == [100, 0]
    assert [len(prefix) for prefix, _ in prompt_families(few + others, 32, 26)] == [0]
    assert [len(prefix) for prefix, _ in prompt_families(few + others, 3, 26)] == [100, 0]
    assert [len(prefix) for prefix, _ in prompt_families(few, 32, 26)] == [100]
