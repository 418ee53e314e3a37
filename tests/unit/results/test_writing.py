"""Writing as Windows needs it: no translated line breaks, and another attempt while someone reads the file."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from glu_lib.results.writing import write_at, write_atomically


def test_lines_are_written_as_bytes(tmp_path, monkeypatch):
    """Windows translates line breaks of a descriptor without O_BINARY, a flag that it alone has."""
    flags = []
    own = os.open
    monkeypatch.setattr(os, "O_BINARY", 0x8000, raising=False)
    monkeypatch.setattr(os, "open", lambda path, given, mode: flags.append(given) or own(path, given & ~0x8000, mode))
    write_at(tmp_path / "journal.jsonl", 0, b"one\ntwo\n")
    assert [bool(given & 0x8000) for given in flags] == [True]
    assert (tmp_path / "journal.jsonl").read_bytes() == b"one\ntwo\n"


@pytest.fixture
def read_by_others(monkeypatch):
    """A file that others read during the first attempts, on the given system."""

    def make(attempts, platform):
        own, left = Path.replace, [attempts]

        def replace(self, target):
            if left[0]:
                left[0] -= 1
                raise PermissionError(13, "the file is in use")
            return own(self, target)

        monkeypatch.setattr(Path, "replace", replace)
        monkeypatch.setattr("glu_lib.results.writing.sys", SimpleNamespace(platform=platform))
        monkeypatch.setattr("glu_lib.results.writing._REPLACE_WAITS_S", (0.0, 0.0, 0.0))
        return left

    return make


def test_on_windows_a_file_that_is_being_read_is_tried_again(tmp_path, read_by_others):
    left = read_by_others(3, "win32")
    write_atomically(tmp_path / "record.json", b"{}")
    assert (left, (tmp_path / "record.json").read_bytes()) == ([0], b"{}")


@pytest.mark.parametrize(("attempts", "platform"), [(4, "win32"), (1, "linux")])
def test_a_file_that_stays_closed_is_an_error_and_leaves_no_litter(tmp_path, read_by_others, attempts, platform):
    left = read_by_others(attempts, platform)
    with pytest.raises(PermissionError):
        write_atomically(tmp_path / "record.json", b"{}")
    assert (left, list(tmp_path.iterdir())) == ([0], [])
