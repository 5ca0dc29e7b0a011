"""The output of a shell command, for `pipe:`; no process of it outlives its use."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

_PIECE = 2**20
_REMEMBERED = 4096
"""Bytes of what the command says on stderr; the last line of it goes into the message."""


class AttemptFailed(Exception):
    """What was asked for did not come; it may come another time."""


def run_command(command: str, write: Callable[[Any], None], silence: float) -> None:
    """Hand on what a command prints.

    Args:
        command: for bash.
        write: called with each piece. If it raises, the command and all its children are killed.
        silence: seconds without a byte after which they are killed as well.

    Raises:
        AttemptFailed: it fell silent, or ended with another code than 0.
    """
    process = subprocess.Popen(
        ["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    silent = threading.Event()
    heard = time.monotonic()
    said = b""

    def watch() -> None:
        while process.poll() is None:
            if time.monotonic() - heard > silence:
                silent.set()
                _kill(process)
                return
            time.sleep(0.1)

    def listen(stream: int) -> None:
        nonlocal said
        with contextlib.suppress(OSError):
            while piece := os.read(stream, _REMEMBERED):
                said = (said + piece)[-_REMEMBERED:]

    listener = threading.Thread(target=listen, args=(process.stderr.fileno(),), daemon=True)
    watcher = threading.Thread(target=watch, daemon=True)
    listener.start()
    watcher.start()
    try:
        while piece := os.read(process.stdout.fileno(), _PIECE):
            heard = time.monotonic()
            write(piece)
    except BaseException:
        _kill(process)
        raise
    finally:
        code = _end(process)
        watcher.join()
        process.stdout.close()
    if silent.is_set():
        raise AttemptFailed(f"nothing came for {silence:g} seconds")
    if code:
        listener.join(1)
        lines = said.decode(errors="replace").strip().splitlines()
        raise AttemptFailed(f"the command ended with code {code}{': ' + lines[-1][:160] if lines else ''}")


def _end(process: "subprocess.Popen[bytes]") -> int:
    try:
        return process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        _kill(process)
        return process.wait()


def _kill(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
