import os
import signal
import threading

import pytest

from glu_lib.machine.signals import uninterrupted


@pytest.fixture
def arrived(monkeypatch):
    """What the handlers of a run are told; SIGINT raises as Python's own does."""
    seen = []

    def interrupt(number, _frame):
        seen.append(number)
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, lambda number, _frame: seen.append(number))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield seen
    for number, handler in before.items():
        signal.signal(number, handler)


def test_signals_wait_until_the_block_has_ended(arrived):
    during = []

    def block():
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            os.kill(os.getpid(), number)
        during.append(list(arrived))

    with pytest.raises(KeyboardInterrupt), uninterrupted():
        block()
    assert during == [[]]
    assert arrived == [signal.SIGINT, signal.SIGTERM]  # the second one although the first one's handler raises
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)  # the run's own handlers are back


def test_an_error_in_the_block_gives_the_handlers_back(arrived):
    with pytest.raises(ValueError, match="lost"), uninterrupted():
        raise ValueError("lost")
    os.kill(os.getpid(), signal.SIGTERM)
    assert arrived == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_other_threads_install_no_handlers(arrived):
    before, inside = signal.getsignal(signal.SIGINT), []

    def work():
        with uninterrupted():
            inside.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert inside == [before]
