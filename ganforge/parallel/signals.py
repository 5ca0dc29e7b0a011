"""Stopping when asked to, between two steps and on all ranks in the same one."""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import cast

import torch
import torch.distributed
from accelerate import Accelerator
from torch.distributed import ProcessGroup

REQUEUE = 85
INTERRUPTED = 130
_EXIT_CODES = {signal.SIGTERM: REQUEUE, signal.SIGUSR1: REQUEUE, signal.SIGINT: INTERRUPTED}
AGREE_SECONDS = 1.0
_PR_SET_PDEATHSIG = 1  # Linux, prctl(2)
_LAUNCHERS = (b"accelerate", b"torchrun", b"torch.distributed", b"torch/distributed", b"deepspeed")
"""In the command line of a process that starts ranks."""
_OF_LAUNCHERS = ("ACCELERATE_MIXED_PRECISION", "TORCHELASTIC_RUN_ID")
"""Variables that they set."""


class StopRequest:
    """Remembers a signal; `agreed` tells all ranks at the same step.

    SIGTERM and SIGUSR1 mean "save, leave, start me again later" (exit code 85); Ctrl-C means "save and leave" (130).
    The first signal gives the code; a second Ctrl-C leaves at once. With several ranks they compare notes about once a
    second, counted in steps, so that no rank steps on alone.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self._exit_code = 0
        self._was_interrupted = False
        self._interval = 1
        self._next = 0
        self._last: tuple[int, float] | None = None
        is_distributed = accelerator.num_processes > 1
        # A group of its own over gloo: agreeing must not make the host wait for the device.
        self._group = cast(ProcessGroup, torch.distributed.new_group(backend="gloo")) if is_distributed else None

    @contextmanager
    def listening(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield  # Python gives signals to the main thread only; whoever started this one has to stop it
            return
        before = {number: signal.signal(number, self._remember) for number in _EXIT_CODES}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            if self._was_interrupted:
                raise KeyboardInterrupt
            self._was_interrupted = True
        self._exit_code = self._exit_code or _EXIT_CODES[signal.Signals(number)]

    def agreed(self, step: int) -> int:
        """0 to go on, or the exit code with which all ranks leave after this step."""
        if self._group is None:
            return self._exit_code
        if step < self._next:
            return 0
        now = time.monotonic()
        elapsed = 0.0 if self._last is None else (now - self._last[1]) / max(step - self._last[0], 1)
        note = torch.tensor([float(self._exit_code), elapsed], dtype=torch.float64)
        torch.distributed.all_reduce(note, op=torch.distributed.ReduceOp.MAX, group=self._group)
        code, slowest = int(note[0]), float(note[1])
        self._interval = max(1, min(1000, int(AGREE_SECONDS / slowest))) if slowest > 0 else 1
        self._last = (step, now)
        self._next = step + self._interval
        return code


@contextmanager
def nothing_trained_yet() -> Iterator[None]:
    """Around a session: while nothing listens for signals, one that asks to stop ends it at once, with the same codes.

    Nothing is lost by that before the first step, or after the last checkpoint; a launcher starts it again. A signal
    that whoever started this process had it ignore stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: FrameType | None) -> None:
        os.write(2, b"ganforge: asked to stop while there was nothing to save; run the same command to start again\n")
        raise SystemExit(_EXIT_CODES[signal.Signals(number)])

    before = {
        number: signal.signal(number, leave) for number in _EXIT_CODES if signal.getsignal(number) is not signal.SIG_IGN
    }
    _stop_with_the_launcher()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop_with_the_launcher() -> None:
    """A launcher that dies of SIGKILL passes nothing on, and its trainings would go on unseen; that of `accelerate`
    does not even pass SIGTERM on when it runs one process.

    The kernel is asked to send SIGTERM when the launcher is gone (Linux); any other parent, such as a shell, may end.
    """
    if not sys.platform.startswith("linux") or not any(name in os.environ for name in _OF_LAUNCHERS):
        return
    parent = os.getppid()
    try:
        command = Path(f"/proc/{parent}/cmdline").read_bytes()
    except OSError:
        return
    if not any(name in command for name in _LAUNCHERS):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it was faster
        os.kill(os.getpid(), signal.SIGTERM)
