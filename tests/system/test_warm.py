"""Forked runs that do not end."""

import subprocess
import sys

import pytest

HANGS = """
import time


def test_that_hangs():
    time.sleep(600)
"""


def test_a_forked_run_that_takes_too_long_is_ended_and_shows_its_stacks(suite):
    path = suite.makepyfile(test_hanging=HANGS)
    command = [sys.executable, "-m", "pytest", "-s", str(path)]
    process = suite.popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    with pytest.raises(subprocess.TimeoutExpired) as error:
        process.wait(timeout=5)
    assert "in test_that_hangs" in str(error.value.output)
    assert process.returncode is not None
