import io

from tqdm import tqdm

from glu_lib.frontends.bars import LINE_S, PlainBars
from glu_lib.measure.scoring import shown_answers
from glu_lib.measure.scoring.shown_answers import REFRESH_S, ShownAnswers


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


class Kept:
    """A journal that takes note of what it is given."""

    def __init__(self):
        self.made = []

    def finished(self, prompt):
        return [1] if prompt == (7,) else None

    def begun(self, prompt):
        return list(prompt)

    def grow(self, made):
        self.made.append(made)


def test_a_log_gets_lines_before_the_first_answer_is_finished(monkeypatch):
    log, clock = io.StringIO(), Clock()
    monkeypatch.setattr(shown_answers.time, "monotonic", clock)
    with tqdm(total=2, file=PlainBars(log, log, clock), desc="answers", ncols=140) as bar:
        shown = ShownAnswers(None, bar)
        for step in range(1, 101):
            clock.now_s += 1.0
            shown.grow({(1,): [0] * step, (2,): [0] * step})
    lines = log.getvalue().splitlines()
    assert [line.partition(", ?it/s, ")[2].rstrip("]") for line in lines] == [
        f"{2 * step} tokens of 2 unfinished" for step in (30, 60, 90)
    ]
    assert REFRESH_S < LINE_S


def test_the_journal_gets_every_step():
    kept = Kept()
    with tqdm(total=1, disable=True) as bar:
        shown = ShownAnswers(kept, bar)
        shown.grow({(1,): [2]})
        assert kept.made == [{(1,): [2]}]
        assert shown.finished((7,)) == [1]
        assert shown.finished((1,)) is None
        assert shown.begun((3,)) == [3]
        alone = ShownAnswers(None, bar)
        assert alone.finished((7,)) is None
        assert alone.begun((3,)) == []
