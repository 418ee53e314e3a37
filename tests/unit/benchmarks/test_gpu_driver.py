"""The driver with processes that are made up: `run_until` is replaced, nothing is started."""

import pytest
from gpu_parts import driver as module
from gpu_parts.driver import Driver
from gpu_parts.plan import Part, units
from gpu_parts.processes import Ended
from gpu_parts.records import Records

UNITS = {unit.key: unit for unit in units(("llama1b", "llama3b"), tuple(Part))}
SCORER = {"parts": (Part.SCORER,), "models": ("llama1b",)}
DONE = Ended(0, False, 1.0, "")


class Clock:
    """Stands for the module `time`; it stands still unless it is set."""

    now_s = 1000.0

    def monotonic(self):
        return self.now_s


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    for place in ("driver", "records"):
        monkeypatch.setattr(f"gpu_parts.{place}.time", found)
    return found


@pytest.fixture
def drive(make_setup, monkeypatch, clock):
    """Measures with processes that `act` stands for; returns what is left, what was said, and the commands."""

    def run(act, left_s=540.0, **options):
        setup = make_setup(**options)
        records, said, commands = Records(setup.output), [], []

        def run_until(command, until_s, patience_s, log):
            commands.append((command, patience_s))
            child = command[command.index("--child") + 1].split(",") if "--child" in command else None
            return act(records, child, commands)

        monkeypatch.setattr(module, "run_until", run_until)
        left = Driver(setup, records, clock.now_s + left_s, said.append).measure()
        return [unit.key for unit in left], said, commands

    return run


def finish(records, keys):
    for key in keys:
        records.done(UNITS[key], {}, 1.0, {})


def test_each_part_of_a_model_is_one_process(drive):
    def act(records, child, commands):
        finish(records, child)
        return DONE

    left, said, commands = drive(act, parts=(Part.RATES, Part.SCORER, Part.KILL))
    assert left == []
    assert len(commands) == 4  # rates; scorer and kill of 1B; scorer of 3B
    assert said[0] == "rates: done after 1.0 s"
    assert len(said) == 1 + 5 + 1 + 5


def test_what_does_not_fit_into_the_time_is_left(drive):
    left, said, commands = drive(None, left_s=30.0, parts=(Part.RATES, Part.ENERGY))
    assert left == ["rates", "energy-llama1b", "energy-llama3b"]
    assert (said, commands) == ([], [])


def test_a_finished_unit_is_not_measured_again(drive):
    def act(records, child, commands):
        finish(records, child)
        return DONE

    assert drive(act, **SCORER)[0] == []
    assert drive(None, **SCORER) == ([], [], [])


def test_a_process_that_dies_costs_the_unit_it_was_at(drive, clock):
    def act(records, child, commands):
        if len(commands) == 1:
            finish(records, child[:1])
            records.begin(UNITS[child[1]])
            clock.now_s += 4
            return Ended(-11, False, 30.0, "Segmentation fault")
        finish(records, child)
        return DONE

    left, said, commands = drive(act, **SCORER)
    assert (left, len(commands)) == ([], 2)
    assert "scorer-llama1b-mmlu_5shot: failed after 4.0 s: its process ended with -11: Segmentation fault" in said


def test_a_process_that_cannot_start_costs_each_unit_one_start_and_no_more(drive):
    left, said, commands = drive(lambda *_: Ended(1, False, 2.0, "no module named lm_eval"), **SCORER)
    assert (left, len(commands)) == ([], 5)
    assert all("its process ended with 1: no module named lm_eval" in line for line in said)


def test_a_unit_that_is_stopped_is_left_and_needs_more_time(drive, make_setup, clock):
    def act(records, child, commands):
        finish(records, child[:1])
        records.begin(UNITS[child[1]])
        clock.now_s += 200
        return Ended(-15, True, 500.0, "")

    left, said, commands = drive(act, **SCORER)
    assert len(left) == 4
    assert len(commands) == 1
    assert "scorer-llama1b-mmlu_5shot: stopped after 200 s" in said[-1]
    records = Records(make_setup().output)
    assert records.needs_s(UNITS[left[0]], is_tiny=False) == 300


def test_a_fresh_call_starts_what_needs_longer_than_a_call(drive, make_setup):
    records = Records(make_setup().output)
    records.folder.mkdir()
    records.stopped(UNITS["kill-llama1b"], 500.0)
    kill = {"parts": (Part.KILL,), "models": ("llama1b",)}
    assert drive(None, left_s=500.0, **kill)[0] == ["kill-llama1b"]

    def act(records, child, commands):
        finish(records, child)
        return DONE

    assert drive(act, left_s=539.0, **kill)[0] == []


def test_pytest_is_asked_to_end_before_the_time_is_over_and_goes_on_in_the_next_call(drive):
    left, said, commands = drive(lambda *_: Ended(2, True, 500.0, ""), parts=(Part.ENERGY,), models=("llama1b",))
    assert left == ["energy-llama1b"]
    assert said == ["energy-llama1b: stopped after 500 s; the next call goes on"]
    assert commands[0][1] == 20.0
    assert drive(lambda *_: DONE, parts=(Part.ENERGY,), models=("llama1b",))[0] == []


def test_failed_parts_are_measured_again_on_request(drive):
    energy = {"parts": (Part.ENERGY,), "models": ("llama1b",)}
    _, said, _ = drive(lambda *_: Ended(1, False, 9.0, "1 failed in 9 s"), **energy)
    assert said == ["energy-llama1b: failed after 9.0 s: pytest ended with 1: 1 failed in 9 s"]
    assert drive(None, **energy)[2] == []
    assert drive(lambda *_: DONE, again=True, **energy)[1] == ["energy-llama1b: done after 1.0 s"]
