import io
import sys

import pytest
from tqdm import tqdm

from glu_lib.frontends.bars import LINE_S, PlainBars, bars_as_lines


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


def draw(stream, clock, seconds, step_s=1.0, **options):
    """A bar of as many seconds, drawn at each step."""
    with tqdm(total=seconds, file=stream, mininterval=0, miniters=1, delay=0, desc="work", ncols=60, **options) as bar:
        for _ in range(int(seconds / step_s)):
            clock.now_s += step_s
            bar.update(step_s)


def test_a_bar_is_a_plain_line_every_half_minute():
    log, clock = io.StringIO(), Clock()
    draw(PlainBars(log, log, clock), clock, 100)
    lines = log.getvalue().splitlines()
    assert [line.split("|")[0] for line in lines] == ["work:  30%", "work:  60%", "work:  90%"]
    assert log.getvalue().isascii()
    assert "\r" not in log.getvalue()


def test_short_work_leaves_no_line():
    log, clock = io.StringIO(), Clock()
    draw(PlainBars(log, log, clock), clock, LINE_S - 1)
    assert log.getvalue() == ""


def test_a_bar_below_another_one_leaves_no_empty_lines():
    log, clock = io.StringIO(), Clock()
    stream = PlainBars(log, log, clock)
    with tqdm(total=2, file=stream, mininterval=0, miniters=1, delay=0, desc="outer") as outer:
        for _ in range(2):
            draw(stream, clock, 40, step_s=10.0, position=1, leave=False)
            outer.update()
    lines = log.getvalue().splitlines()
    assert [line[:6] for line in lines] == ["work: ", "work: "]
    assert "\x1b" not in log.getvalue()


def test_ordinary_text_passes_at_once_and_bars_may_be_dropped():
    log, clock = io.StringIO(), Clock()
    stream = PlainBars(None, log, clock)
    print("a warning", file=stream)
    draw(stream, clock, 100)
    print("another\r\none", file=stream)
    assert log.getvalue() == "a warning\nanother\none\n"


@pytest.mark.parametrize(("is_terminal", "drawn"), [(True, True), (False, False)])
def test_a_terminal_gets_the_bar_itself(monkeypatch, is_terminal, drawn):
    stream = io.StringIO()
    stream.isatty = lambda: is_terminal
    monkeypatch.setattr(sys, "stderr", stream)
    with bars_as_lines(), tqdm(total=3, mininterval=0, delay=0) as bar:
        bar.update()
    assert ("\r" in stream.getvalue()) is drawn
