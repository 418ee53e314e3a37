"""Blocks that a signal must not interrupt half way."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

_STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold back the signals that stop a run until the block has ended; their handlers then run.

    For short blocks of code that takes a lock and releases it without `finally`: an exception raised in between by a
    signal handler would leave the lock taken, and the next call would wait for ever. Signals that are ignored, or have
    the system's default action, keep it. Handlers run in the main thread only: in other threads nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    handlers = {number: handler for number in _STOPPING if callable(handler := signal.getsignal(number))}
    try:
        _install(dict.fromkeys(handlers, lambda number, _frame: held.append(number)))
        yield
    finally:
        _install(handlers)
        _deliver(held)


def _deliver(numbers: list[int]) -> None:
    """Raise the signals in turn, also if the handler of one of them raises."""
    if numbers:
        try:
            signal.raise_signal(numbers[0])
        finally:
            _deliver(numbers[1:])


def _install(handlers: Mapping[int, Any]) -> None:
    """Install all handlers, even if one that is already installed raises meanwhile."""
    try:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
