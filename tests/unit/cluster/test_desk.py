import os
import tempfile

import pytest

from glu_lib.cluster.desk import Desk
from glu_lib.cluster.messages import Answered, Idle


@pytest.fixture
def desk(tmp_path):
    return Desk(folder=tmp_path, mail_s=0.0)


def test_answers_are_mailed_from_where_the_last_mail_ended(desk, tmp_path):
    journal = tmp_path / "journal"
    journal.write_bytes(b"from the driver\n")
    desk.begin("case", journal)
    assert desk.events(0) == []
    journal.write_bytes(b"from the driver\nmore\n")
    assert desk.events(0) == [Answered("case", 16, b"more\n")]
    assert desk.events(0) == []
    desk.end()
    journal.write_bytes(b"from the driver\nmore\nand more\n")
    assert desk.events(0) == []


def test_events_come_in_order_and_answers_last(desk, tmp_path):
    desk.begin("case", tmp_path / "journal")
    (tmp_path / "journal").write_bytes(b"x\n")
    desk.outbox.put(Idle())
    desk.outbox.put(Idle())
    assert desk.events(0) == [Idle(), Idle(), Answered("case", 0, b"x\n")]


def test_answers_wait_for_their_time_unless_the_run_is_about_to_stop(tmp_path):
    desk = Desk(folder=tmp_path, mail_s=1000.0)
    desk.begin("case", tmp_path / "journal")
    (tmp_path / "journal").write_bytes(b"x\n")
    assert desk.events(0) == []
    assert list(desk.answers()) == [Answered("case", 0, b"x\n")]


def test_folders_of_killed_workers_are_deleted(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead, alive, foreign = (tmp_path / f"glu-worker-{name}-x" for name in (2**22 + 1, os.getppid(), "name"))
    for folder in (dead, alive, foreign):
        folder.mkdir()
    own = Desk().folder
    assert sorted(tmp_path.iterdir()) == sorted([alive, foreign, own])
    assert own.name.startswith(f"glu-worker-{os.getpid()}-")
