"""The guard of the unit tests itself: what it refuses, and that it fails a test which goes on regardless."""

import os
import socket
import subprocess
import sys

import pytest

from glu_lib.nano import MODEL_DIR


def start():
    subprocess.run([sys.executable, "-c", ""], check=True)


def connect():
    with socket.socket() as found:
        found.connect(("127.0.0.1", 9))


def read():
    (MODEL_DIR / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (start, "a unit test starts no process"),
        (os.fork, "a unit test starts no process"),
        (connect, "a unit test uses no network"),
        (read, "a unit test reads no weights"),
    ],
)
def test_what_belongs_into_another_tier_is_refused(guard, act, message):
    with pytest.raises(RuntimeError, match=message):
        act()
    assert len(guard.seen) == 1  # fails the test at its end, though the error was caught
    guard.seen.clear()


def test_other_files_may_be_opened(guard, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert not guard.seen
