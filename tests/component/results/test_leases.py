import os
import socket
import subprocess
import sys
import time

import pytest

from glu_lib.errors import RecordError
from glu_lib.results.leases import Leases
from glu_lib.study import STUDY
from glu_lib.study.cases import Case
from glu_lib.study.items import ItemChoice
from glu_lib.study.pruning import Pruning

CASE = Case(STUDY.models["nano"], Pruning(40), STUDY.tasks["sums"])

HOLDER = """
import sys
from pathlib import Path
import glu_lib.results.leases
from glu_lib.study.cases import Case
from glu_lib.study.items import ItemChoice
from glu_lib.study.pruning import Pruning
from glu_lib.study import STUDY

glu_lib.results.leases.LEASE_S = float(sys.argv[2])
leases = glu_lib.results.leases.Leases(Path(sys.argv[1]))
print(leases.take(Case(STUDY.models["nano"], Pruning(40), STUDY.tasks["sums"])), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the case's lease; ended by what is done to it, at the latest with the test."""
    processes = []

    def start(lease_s=60.0):
        command = [sys.executable, "-c", HOLDER, str(tmp_path), str(lease_s)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout.readline() == "True\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_one_run_at_a_time_has_a_case(tmp_path, holder):
    other = holder()
    mine = Leases(tmp_path)
    assert not mine.take(CASE)
    other.communicate()  # it ends in good order
    assert mine.take(CASE)
    assert mine.take(CASE)  # asked again by the same run
    mine.give_back(CASE)
    holder()


def test_another_limit_is_another_case(tmp_path, holder):
    holder()
    assert Leases(tmp_path, ItemChoice(8)).take(CASE)


def test_an_architecture_is_the_same_case_whatever_the_limit(tmp_path):
    case = Case(STUDY.models["nano"], Pruning(40), "architecture")
    limited, whole = Leases(tmp_path, ItemChoice(8)), Leases(tmp_path)
    assert limited.take(case)
    assert [path.name for path in (tmp_path / "leases").iterdir()] == ["nano-p40-architecture.lease"]
    limited.give_back(case)
    assert whole.take(case)


def test_the_lease_of_a_killed_process_of_this_machine_is_taken_at_once(tmp_path, holder):
    other = holder()
    other.kill()
    other.wait()
    assert Leases(tmp_path).take(CASE, wait_s=5)


def test_what_another_machine_holds_is_taken_once_it_was_seen_unrefreshed(tmp_path, holder, monkeypatch):
    """By this run's own clock: one that is wrong, or set back meanwhile, changes nothing."""
    lease_s = 2.0
    monkeypatch.setattr("glu_lib.results.leases.LEASE_S", lease_s)
    other = holder(lease_s)
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
    mine = Leases(tmp_path)
    (marker,) = (tmp_path / "leases").iterdir()
    os.utime(marker, (4e9, 4e9))  # a clock of the year 2096
    assert not mine.take(CASE, wait_s=2 * lease_s)  # it is refreshed
    other.kill()
    other.wait()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    start_s = time.monotonic()
    assert mine.take(CASE, wait_s=10 * lease_s)
    assert time.monotonic() - start_s >= lease_s / 2  # not before it has gone unrefreshed for its time


def test_a_lease_that_a_killed_process_left_empty_blocks_no_case(tmp_path, monkeypatch):
    """kill -9, or a loss of power, between creating the file and writing it."""
    monkeypatch.setattr("glu_lib.results.leases.EMPTY_S", 0.5)
    path = tmp_path / "leases/nano-p40-sums.lease"
    path.parent.mkdir()
    path.touch()
    mine = Leases(tmp_path)
    assert not mine.take(CASE)  # it may be being written
    assert path.exists()
    deadline_s = time.monotonic() + 10
    while not mine.take(CASE, wait_s=0.1):
        assert time.monotonic() < deadline_s
    assert path.read_text()
    assert not Leases(tmp_path).take(CASE)


def test_an_empty_lease_that_is_written_after_all_is_respected(tmp_path, holder, monkeypatch):
    monkeypatch.setattr("glu_lib.results.leases.EMPTY_S", 0.2)
    mine = Leases(tmp_path)
    path = tmp_path / "leases/nano-p40-sums.lease"
    path.parent.mkdir()
    path.touch()
    assert not mine.take(CASE)
    path.unlink()
    holder()
    end_s = time.monotonic() + 1
    while time.monotonic() < end_s:
        assert not mine.take(CASE, wait_s=0.1)


def test_a_level_has_a_lease_beside_its_cases(tmp_path):
    one, two = Leases(tmp_path), Leases(tmp_path)
    assert one.take_level(CASE)
    assert not two.take_level(CASE)
    assert two.take(CASE)  # the case itself is free
    two.give_back(CASE)
    one.give_level_back(CASE)
    assert two.take_level(CASE)
    assert [path.name for path in (tmp_path / "leases").iterdir()] == ["nano-p40.level"]


def test_the_lease_of_another_version_is_respected_while_it_is_refreshed_and_then_taken(tmp_path, holder, monkeypatch):
    other = holder(lease_s=1.5)  # refreshed every half second
    monkeypatch.setattr("glu_lib.results.leases.LEASE_S", 2.0)
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
    mine = Leases(tmp_path)
    end_s = time.monotonic() + 4
    while time.monotonic() < end_s:
        assert not mine.take(CASE, wait_s=0.1)
        time.sleep(0.1)
    other.kill()
    other.wait()
    deadline_s = time.monotonic() + 20
    while not mine.take(CASE, wait_s=0.1):
        assert time.monotonic() < deadline_s
        time.sleep(0.1)


def test_all_leases_go_back_at_the_end(tmp_path):
    mine = Leases(tmp_path)
    other = Case(STUDY.models["nano"], Pruning(40), STUDY.tasks["facts"])
    assert mine.take(CASE)
    assert mine.take(other)
    mine.give_all_back()
    assert list((tmp_path / "leases").iterdir()) == []


def test_a_folder_that_is_gone_or_cannot_be_written_is_one_line_and_giving_back_is_silent(tmp_path):
    mine = Leases(tmp_path)
    assert mine.take(CASE)
    (tmp_path / "leases").rename(tmp_path / "moved")
    mine.give_back(CASE)
    (tmp_path / "leases").write_text("in the way")
    with pytest.raises(RecordError, match="leases cannot be written .*; check free space and permissions, or"):
        Leases(tmp_path).take(CASE)
