"""Runs of pytest without the seconds of importing: forked from a process that has the libraries imported.

A forked run is a process of its own, with its own signals, exit code and environment. Only libraries are there before
it begins: glu_lib and pytest's plugins are imported by each run. What a library reads from the environment when it is
imported must be the server's; `Server.can_fork` says whether it is.
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import termios
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import forkserver, reduction
from pathlib import Path
from typing import IO, Any

LIBRARIES = "warm_libraries"
READ_AT_IMPORT = ("HF_", "TRANSFORMERS_", "DATASETS_", "TQDM_", "NLTK_", "TORCH", "PYTORCH_", "OMP_", "MKL_", "PYTHON")
PYTEST = ([sys.executable, "-mpytest"], [sys.executable, "-m", "pytest"])
DEFAULT_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LONGEST_S = 480.0  # of a run; below the `timeout` of tests/pytest.ini, so that the run's own stacks are shown


class Server:
    """The process that has imported the libraries; it ends with the process that made it."""

    def __init__(self) -> None:
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload([LIBRARIES])
        self.environment = read_at_import(os.environ)
        path = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parent), path]))
        try:
            forkserver.ensure_running()
        finally:
            os.environ.pop("PYTHONPATH") if path is None else os.environ.update(PYTHONPATH=path)

    def can_fork(self, command: Sequence[str], environment: Mapping[str, str]) -> bool:
        """Whether a command is pytest, may meet torch, and has the server's environment."""
        is_pytest = any(list(command[: len(start)]) == start for start in PYTEST)
        return is_pytest and "no_torch" not in command and read_at_import(environment) == self.environment


class Forked:
    """A forked run of pytest, with what tests use of subprocess.Popen. What goes into a pipe there is a file here."""

    def __init__(
        self,
        server: Server,
        command: Sequence[str],
        *,
        cwd: str | os.PathLike[str],
        env: Mapping[str, str],
        stdin: int | IO[Any] | None = None,
        stdout: int | IO[Any] | None = None,
        stderr: int | IO[Any] | None = None,
        on_terminal: bool = False,
    ) -> None:
        self.args, self.stdin = command, None
        self._output = tempfile.TemporaryFile("w+", encoding="utf-8") if stdout == subprocess.PIPE else None  # noqa: SIM115
        with open(os.devnull, "r+b") as null:  # noqa: PTH123
            out = self._descriptor(stdout, null)
            err = out if stderr == subprocess.STDOUT else self._descriptor(stderr, null)
            passed = [_Passed(number) for number in (self._descriptor(stdin, null), out, err)]
            words = list(command[command.index("-m") + 2 if "-m" in command[:2] else 2 :])
            target = (words, os.fspath(cwd), dict(env), passed, on_terminal)
            self._process = server.context.Process(target=_run, args=target)
            self._process.start()

    def __enter__(self) -> Forked:
        return self

    def __exit__(self, *_error: object) -> None:
        self.wait()

    @property
    def returncode(self) -> int | None:
        """None while it runs; -N when signal N has ended it."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The exit code, or None."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code. A run longer than `timeout` (default LONGEST_S) seconds is ended, and its stacks are shown."""
        limit_s = LONGEST_S if timeout is None else timeout
        self._process.join(limit_s)
        if self._process.exitcode is None:
            self.send_signal(signal.SIGABRT)  # pytest has enabled faulthandler, which writes all stacks to stderr
            self._process.join(10.0)
            self.kill()
            self._process.join()
            raise subprocess.TimeoutExpired(self.args, limit_s, self._written_at_last())
        return self._process.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        """All that was written to stdout=PIPE, once the run has ended."""
        self.wait(timeout)
        return self._written_at_last(), None

    def send_signal(self, number: int) -> None:
        """Nothing where the run has ended."""
        if self._process.exitcode is None and self._process.pid is not None:
            os.kill(self._process.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _written_at_last(self) -> str:
        if self._output is None:
            return ""
        with self._output:
            self._output.seek(0)
            return self._output.read()

    def _descriptor(self, wanted: int | IO[Any] | None, null: IO[Any]) -> int:
        if wanted in (None, subprocess.DEVNULL):
            return null.fileno()
        if wanted == subprocess.PIPE and self._output is not None:
            return self._output.fileno()
        return wanted if isinstance(wanted, int) else wanted.fileno()


class _Passed:
    """A descriptor that goes to the forked process."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (reduction.DupFd(self.number),)


def _received(passed: Any) -> int:
    number: int = passed.detach()
    return number


def restore_signals() -> None:
    """A shell's background job ignores SIGINT, and nohup SIGHUP; its children would as well."""
    for number in DEFAULT_SIGNALS:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


@contextmanager
def restored_signals() -> Iterator[None]:
    """What is started here ignores no signal. Not by `preexec_fn`: after a fork, Python code may wait for threads."""
    before = [(number, signal.getsignal(number)) for number in DEFAULT_SIGNALS]
    restore_signals()
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def take_terminal() -> None:
    """Makes standard input the terminal of this new session."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _run(
    words: list[str],
    folder: str,
    environment: dict[str, str],
    descriptors: list[int],
    on_terminal: bool,
) -> None:
    """`python -m pytest` from here to the end of the process."""
    assert LIBRARIES in sys.modules  # else each run imports them: slow, and nobody sees why
    gc.freeze()
    for place, number in enumerate(descriptors):
        os.dup2(number, place)
        os.close(number)
    for place, (name, mode, buffering) in enumerate((("stdin", "r", -1), ("stdout", "w", -1), ("stderr", "w", 1))):
        stream = open(place, mode, buffering, encoding="utf-8", closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    # pytest would rewrite the assertions of each package that has a plugin, and says where it cannot.
    os.environ["PYTEST_ADDOPTS"] = f"{environment.get('PYTEST_ADDOPTS', '')} -W 'ignore:Module already imported'"
    extra = environment.get("PYTHONPATH", "").split(os.pathsep)
    own = [path for path in sys.path if path.startswith((sys.prefix, sys.base_prefix))]
    sys.path[:] = [folder, *filter(None, extra), *own]
    sys.path_importer_cache.clear()
    sys.argv = ["pytest", *words]
    restore_signals()
    if on_terminal:
        os.setsid()
        take_terminal()
    code = 1
    try:
        runpy.run_module("pytest", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def read_at_import(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that libraries may read when they are imported."""
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(READ_AT_IMPORT) and name not in ("PYTHONPATH", "PYTHONUNBUFFERED")
    }
