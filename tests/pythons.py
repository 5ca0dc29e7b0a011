"""Python programs in processes of their own, without the seconds of importing torch that each of them costs.

They are forked by the server of `two_processes`, which has imported the slow modules and has trained nothing. What a
test says about how Python starts, about imports or about memory wants a real `subprocess` all the same.
"""

import atexit
import contextlib
import ctypes
import gc
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Iterator, Mapping
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from two_processes import PRELOADED

PR_SET_PDEATHSIG = 1  # Linux, prctl(2)


class Python:
    """One such process; what it writes is kept in files, so that it never waits for a reader."""

    def __init__(self, arguments: tuple[object, ...], cwd: str | Path | None, env: Mapping[str, str] | None) -> None:
        self.args = [str(argument) for argument in arguments]
        self._said = tempfile.TemporaryDirectory(prefix="said-")
        self.out, self.err = (Path(self._said.name) / name for name in ("out", "err"))
        self.out.touch()
        self.err.touch()
        context = get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        place = str(cwd or Path.cwd())
        given = (self.args, place, dict(env or os.environ), str(self.out), str(self.err))
        self._process = context.Process(target=_become, args=given)
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid
        _started.add(self)

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0, self.out.read_text(), self.err.read_text())
        return self._process.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it wrote to its two streams, when it has ended."""
        self.wait(timeout)
        return self.out.read_text(), self.err.read_text()

    def lines(self) -> Iterator[str]:
        """What it writes to stdout, line by line as it comes, until it ends."""
        with self.out.open() as file:
            while True:
                is_over = self.poll() is not None
                while (line := file.readline()).endswith("\n"):
                    yield line
                if is_over:
                    return
                file.seek(file.tell() - len(line))
                time.sleep(0.005)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def kill_all(self) -> None:
        """It, and what it has started in turn."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)


_started: weakref.WeakSet[Python] = weakref.WeakSet()


@atexit.register
def _kill_what_is_left() -> None:
    """Whatever a test that failed has left running; `multiprocessing` would wait for it."""
    for process in list(_started):
        process.kill_all()


def start(*arguments: object, cwd: str | Path | None = None, env: Mapping[str, str] | None = None) -> Python:
    """`python <arguments>`: `"-m", module, ...`, `"-c", code, ...` or a file and its arguments.

    Args:
        arguments: what stands after `python` on a command line.
        cwd: folder in which it runs; this process's own if left out.
        env: its whole environment; this process's own if left out.
    """
    return Python(arguments, cwd, env)


def run(
    *arguments: object, cwd: str | Path | None = None, env: Mapping[str, str] | None = None, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """As `start`, to its end; it is killed when the time is over.

    Raises:
        TimeoutExpired: it did not end in `timeout` seconds.
    """
    process = start(*arguments, cwd=cwd, env=env)
    try:
        out, err = process.communicate(timeout)
    finally:
        process.kill_all()
    assert process.returncode is not None
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def _become(arguments: list[str], cwd: str, environment: dict[str, str], out: str, err: str) -> None:
    gc.freeze()  # nobody need look through what was imported before
    for path, descriptor in ((out, 1), (err, 2)):
        file = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.dup2(file, descriptor)
        os.close(file)
    # The server has put signals aside, and a shell may have had it ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setpgrp()
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # the server ends with the tests
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    kind, *rest = arguments
    if kind == "-m":
        sys.path.insert(0, cwd)
        sys.argv[:] = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.path.insert(0, cwd)
        sys.argv[:] = ["-c", *rest[1:]]
        module: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(rest[0], "<code>", "exec"), module)
    else:
        sys.path.insert(0, str(Path(kind).parent))
        sys.argv[:] = arguments
        runpy.run_path(kind, run_name="__main__")
