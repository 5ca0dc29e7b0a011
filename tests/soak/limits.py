"""A time for each try, after which it counts as a hang."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class Hang(BaseException):
    """No `except Exception` swallows it."""


@contextmanager
def seconds(number: int) -> Iterator[None]:
    def ring(signum: int, frame: object) -> None:
        raise Hang(f"took more than {number} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(number)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
