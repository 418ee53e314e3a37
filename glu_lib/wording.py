"""Counts and durations in words. The plugin's header needs them, so they stand apart from the report."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """A time span: `3.1 s`, `1 min 20 s`, `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def counted(count: int, noun: str) -> str:
    """A number with its noun: `1 case`, `2 cases`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def are(count: int) -> str:
    """The verb after so many: `is` or `are`."""
    return "is" if count == 1 else "are"
