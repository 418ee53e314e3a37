"""Formats numbers and lists for readers: scores, changes in per cent, joules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from glu_lib.analysis.significance import is_significant
from glu_lib.results.collapse import LIMIT, LIMIT_TEXT, exp

COLLAPSED = "collapsed"  # shown instead of a change
BEYOND = f"> {LIMIT_TEXT}"
_PREFIXES = ("", "k", "M", "G", "T", "P")
_MANY_DIGITS = 1e6  # from here on numbers are shown in scientific notation
_MANY_TIMES = 10  # times p0; from here on changes are shown as multiples


def score(row: Mapping[str, Any] | None) -> str:
    """A headline value with its spread over repeats; `–` without a value.

    Three decimals below 10, two below 1000, none below a million, four significant digits above. A collapsed value is
    `> 1e60`, or `∞` if it is infinite.
    """
    if row is not None and row.get("is_collapsed"):
        return "∞" if row["log_value"] is None else BEYOND
    if row is None or row["value"] is None:
        return "–"
    return f"{plain_score(row['value'])}{_spread(row)}"


def plain_score(value: float) -> str:
    """A score as `score` shows it, from its value alone."""
    if abs(value) < _MANY_DIGITS:
        return f"{value:.3f}" if abs(value) < 10 else f"{value:.2f}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:.4g}"


def perplexity(log_value: float) -> str:
    """The perplexity of a log-perplexity in nats per token: `2.26`, `5.432e+04`, `> 1e60`."""
    return _power(exp(log_value))


def factor(harm: float) -> str:
    """The factor on the perplexity of a change of its logarithm: `x1.00`, `x6.20`, `x1.2e+04`, `> 1e60`."""
    text = _power(exp(harm))
    return text if text == BEYOND else f"x{text}"


def _power(value: float) -> str:
    if value > LIMIT:
        return BEYOND
    return f"{value:.2f}" if 0.01 <= value < 1000 else f"{value:.4g}"


def _spread(row: Mapping[str, Any]) -> str:
    """Half of the interval over repeats, ` ±0.012`; only workloads have one."""
    low, high = row.get("interval_low"), row.get("interval_high")
    return "" if low is None or high is None else f" ±{(high - low) / 2:.2g}"


def change(row: dict[str, Any] | None) -> str:
    """Signed change against p0 in per cent, from ten times p0 on as a multiple, `×30.2`.

    Empty for p0 itself and without a baseline. A collapsed value has no numeric change: the result is `collapsed`, at
    p0 too.
    """
    if row is not None and row.get("is_collapsed"):
        return COLLAPSED
    if row is None or row["percent"] == 0 or row["relative_delta"] is None:
        return ""
    multiple = 1 + row["relative_delta"]
    return percent(row["relative_delta"] * 100) if abs(multiple) < _MANY_TIMES else f"×{_multiple(multiple)}"


def _multiple(value: float) -> str:
    return significant(value) if abs(value) < _MANY_DIGITS else f"{value:.2g}"


def percent(value: float) -> str:
    """A signed change in per cent without decimals: `+3 %`, `−12 %`, `0 %`; from a million on `+6.7e+13 %`."""
    text = f"{value:+.0f}" if abs(value) < _MANY_DIGITS else f"{value:+.2g}"
    return "0 %" if text in ("+0", "-0") else f"{text} %".replace("-", "−")


def prefixed(value: float | None, unit: str = "") -> str:
    """A quantity with three significant digits and a decimal prefix: `1.24 G`, `2.53 MB`, `512 B`; `–` for None."""
    if value is None:
        return "–"
    power = 0
    while abs(value) >= 999.5 and power < len(_PREFIXES) - 1:
        value, power = value / 1000, power + 1
    return f"{value:.3g} {_PREFIXES[power]}{unit}".strip()


def plain(value: str | float | bool | None) -> str:
    """Any value of a table: floats with four significant digits, `–` for None."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    is_short = abs(value) < 1e15
    text = f"{value:,}" if is_short and isinstance(value, int) else f"{value:,.4g}" if is_short else f"{value:.4g}"
    return text.replace("-", "−")


def signed(value: float) -> str:
    """A skill or a correlation with two decimals: `0.64`, `−0.10`, never `−0.00`."""
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")


def share(value: float) -> str:
    """A share in per cent without sign of a change: `75 %`, `−4 %`, never `−0 %`."""
    text = f"{100 * value:.0f} %".replace("-", "−")
    return "0 %" if text == "−0 %" else text


def listed(words: Sequence[str]) -> str:
    """Words as a list in a sentence: `a`, `a and b`, `a, b and c`; empty without words."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def marked_change(row: dict[str, Any] | None) -> str:
    """The change, with `*` if it is significant and `°` if it is not shown to be better than blind."""
    if row is None:
        return ""
    star = "*" if is_significant(row) else ""
    chance = "°" if row.get("is_blind") else ""
    return f"{change(row)}{star}{chance}"


def joules(energy_j: float | None) -> str:
    """Energy in joules with three significant digits; `–` if it was not measured."""
    return significant(energy_j)


def significant(value: float | None) -> str:
    """Three significant digits, all integer digits from 1000 on, with a minus sign as `signed`; `–` for None."""
    if value is None:
        return "–"
    return (f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.3g}").replace("-", "−")
