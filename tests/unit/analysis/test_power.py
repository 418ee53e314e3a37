import numpy as np
import pytest

from glu_lib.analysis.power import detectable, items_needed, smallest_change
from glu_lib.analysis.significance import mcnemar_p

TRIES = 20_000


def seen(items, change, discordant, seed=0):
    """Share of simulated studies in which the exact McNemar test finds a gain: drawn item by item, no formula."""
    rng = np.random.default_rng(seed)
    kept, gained, lost = 1 - discordant, (discordant + change) / 2, (discordant - change) / 2
    counts = rng.multinomial(items, [kept, gained, lost], size=TRIES)[:, 1:]
    pairs, often = np.unique(counts, axis=0, return_counts=True)
    hits = [mcnemar_p(int(up), int(down)) < 0.05 for up, down in pairs]
    return often[np.array(hits)].sum() / TRIES


@pytest.mark.parametrize(("change", "discordant"), [(0.05, 0.1), (0.1, 0.2), (0.1, 0.5), (0.3, 0.5)])
def test_the_items_needed_show_the_change_four_times_in_five(change, discordant):
    # The formula is of the test without continuity correction; the exact test is a little stricter on few items.
    items = items_needed(change, discordant)
    assert 0.72 < seen(items, change, discordant) < 0.82
    assert seen(2 * items, change, discordant) > 0.93
    assert seen(items // 2, change, discordant) < 0.6


@pytest.mark.parametrize(("items", "discordant"), [(541, 0.3), (3270, 0.1), (100, 0.5)])
def test_the_smallest_change_is_seen_four_times_in_five(items, discordant):
    change = smallest_change(items, discordant)
    assert 0.74 < seen(items, change, discordant) < 0.82
    assert items_needed(change, discordant) <= items < items_needed(0.99 * change, discordant)


def test_a_case_by_hand():
    # By hand: (1.95996 · √0.3 + 0.84162 · √(0.3 - 0.0009))² / 0.0009
    assert items_needed(0.03, 0.3) == 2614


def test_less_than_six_changed_items_show_nothing():
    assert mcnemar_p(5, 0) > 0.05 > mcnemar_p(6, 0)
    assert items_needed(1.0, 1.0) == 6
    assert items_needed(0.2, 0.2) >= 30


def test_a_paired_bootstraps_interval_tells_what_it_would_have_shown():
    rng = np.random.default_rng(1)
    error = 0.02
    change = detectable(-1.96 * error, 1.96 * error)
    found = rng.normal(change, error, TRIES)
    assert (np.abs(found) > 1.96 * error).mean() == pytest.approx(0.8, abs=0.01)
    assert detectable(None, 0.1) is None
