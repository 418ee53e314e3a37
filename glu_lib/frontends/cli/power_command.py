"""The command power: how small a change n items show, and how many items a change needs."""

from __future__ import annotations

import argparse

from glu_lib.analysis.power import ALPHA, POWER, items_needed, smallest_change
from glu_lib.errors import SettingsError
from glu_lib.frontends.cli.printing import print_table

_DISCORDANT = (0.1, 0.2, 0.3, 0.5)  # if none is given
_MOST_ITEMS = 10**9
_SMALLEST = 1e-6  # share or change


def power(options: argparse.Namespace) -> int:
    """Print the smallest change that `--items` show, or the items that `--change` needs."""
    _check(options)
    shares = _DISCORDANT if options.discordant is None else (options.discordant,)
    if options.items is not None:
        print(
            f"{options.items:,} items: the smallest change of a share of right answers "
            f"that is seen with {100 * POWER:.0f} %"
        )
        rows = [(f"{share:g}", _seen(options.items, share)) for share in shares]
        column = "smallest change"
    else:
        print(
            f"A change of {options.change:g} in a share of right answers: "
            f"items needed to see it with {100 * POWER:.0f} %"
        )
        rows = [(f"{share:g}", _needed(options.change, share)) for share in shares]
        column = "items"
    print(f"(McNemar's test on the same items, two-sided at {100 * ALPHA:.0f} %; one comparison)")
    print_table(("share of items that change either way", column), rows)
    return 0


def _seen(items: int, discordant: float) -> str:
    if items_needed(discordant, discordant) > items:
        return "none"
    return f"{smallest_change(items, discordant):.3g}"


def _needed(change: float, discordant: float) -> str:
    return f"{items_needed(change, discordant):,}" if change <= discordant else "not possible: fewer items change"


def _check(options: argparse.Namespace) -> None:
    """Check the values.

    Raises:
        SettingsError: if a value cannot be; it names the value, the rule and the remedy.
    """
    items, change, discordant = options.items, options.change, options.discordant
    if (items is None) == (change is None):
        raise SettingsError("power needs one of --items N and --change X; give the one that is known")
    if items is not None and not 1 <= items <= _MOST_ITEMS:
        raise SettingsError(f"--items {items} must be from 1 to {_MOST_ITEMS:,}; give the number of items of the task")
    if discordant is not None and not _SMALLEST <= discordant <= 1:
        raise SettingsError(
            f"--discordant {discordant:g} must be from {_SMALLEST:f} to 1; give the share of items that change "
            "either way"
        )
    if change is not None and not _SMALLEST <= change <= 1:
        raise SettingsError(f"--change {change:g} must be from {_SMALLEST:f} to 1; 0.03 is three points of a hundred")
    if change is not None and discordant is not None and change > discordant:
        raise SettingsError(
            f"--change {change:g} exceeds --discordant {discordant:g}: a score cannot change by more than the share of "
            "items that change; raise --discordant"
        )
