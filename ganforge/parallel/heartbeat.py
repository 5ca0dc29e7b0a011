"""Noticing within a minute that another host is gone, and naming it.

A host that loses its network or its power says nothing, not even that a connection ends. A collective then waits for
its whole timeout, which has to be long, since ranks legitimately wait for each other: for data that is packed, for
kernels that are compiled. So each rank also tells the store through which the ranks met that it is alive, from a thread
that training does not block. Rank 0 listens to all, the others to rank 0 alone, so that a thousand ranks ask no more
than a few keys each.
"""

import contextlib
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, Protocol, cast

import torch.distributed
from torch.distributed import distributed_c10d
from torch.distributed.distributed_c10d import PrefixStore

from ganforge.errors import LaunchError

VARIABLE = "GANFORGE_HOST_TIMEOUT"
DEFAULT_SECONDS = 60.0
BEATS = 12
"""Beats within the time after which a rank counts as lost."""
FAREWELL_SECONDS = 2.0
GONE = "gone"
"""The last beat of a rank that has left training: its silence means nothing."""


class Store(Protocol):
    """What is used of torch's key-value store."""

    def set(self, key: str, value: str, /) -> None: ...

    def multi_get(self, keys: list[str], /) -> list[bytes]: ...

    def compare_set(self, key: str, expected: str, value: str, /) -> bytes: ...


class Pulse:
    """One rank's heartbeat, and what it hears of the others'.

    Time is counted in this process's own beats, so that a job that was suspended as a whole finds nobody silent when
    it wakes up.

    Args:
        store: shared by all ranks; the connection must be this object's own.
        rank: of this process.
        world_size: number of ranks.
        host: name of this host, for the others' messages.
    """

    def __init__(self, store: Store, rank: int, world_size: int, host: str) -> None:
        self._store, self._rank, self._world_size = store, rank, world_size
        self._beats = 0
        self._heard: dict[int, tuple[bytes, int]] = {}  # the last beat of each, and at which of ours it was new
        self._hosts: dict[int, str] = {}
        self._host = host
        if rank == 0:  # nobody has to wait for a key; whoever was faster has set its own already
            store.set(_host_of(0), host)
            for other in range(world_size):
                store.compare_set(_beat_of(other), "", "0")
                store.compare_set(_host_of(other), "", "an unknown host")
            store.set("verdict", "")

    def beat(self) -> str:
        """Say that this rank is alive, and listen. May block for as long as the store is out of reach.

        Returns:
            a description of the lost ranks, or nothing.
        """
        self._beats += 1
        self._store.set(_host_of(self._rank), self._host)
        self._store.set(_beat_of(self._rank), str(self._beats))
        if self._rank != 0:
            beat, host, verdict = self._store.multi_get([_beat_of(0), _host_of(0), "verdict"])
            self._hosts[0] = host.decode()
            return verdict.decode() or self._silent({0: beat})
        others = list(range(1, self._world_size))
        lost = self._silent(
            dict(zip(others, self._store.multi_get([_beat_of(other) for other in others]), strict=True))
        )
        if lost:
            self._store.set("verdict", lost)
        return lost

    def leave(self) -> None:
        """Say that this rank's silence from now on means nothing."""
        self._store.set(_beat_of(self._rank), GONE)

    def _silent(self, beats: dict[int, bytes]) -> str:
        lost = []
        for rank, beat in beats.items():
            if self._heard.get(rank, (b"", 0))[0] != beat:
                self._heard[rank] = (beat, self._beats)
            elif beat != GONE.encode() and self._beats - self._heard[rank][1] >= BEATS:
                lost.append(rank)
        if not lost:
            return ""
        first = f"rank {lost[0]} on {self._store.multi_get([_host_of(lost[0])])[0].decode()}"
        return first if len(lost) == 1 else f"{first} and {len(lost) - 1} more"

    @property
    def first_host(self) -> str:
        """Where rank 0 is, as far as this rank has heard."""
        return self._hosts.get(0, "the first host")


def _beat_of(rank: int) -> str:
    return f"beat/{rank}"


def _host_of(rank: int) -> str:
    return f"host/{rank}"


class HostWatch:
    """Two threads: one speaks with the store and may get stuck there, the other sees to it that somebody notices.

    Args:
        pulse: of this rank.
        seconds: silence after which a rank counts as lost.
        lost: called then, with a description of the lost ranks.
    """

    def __init__(self, pulse: Pulse, seconds: float, lost: Callable[[str], object]) -> None:
        self._pulse, self._interval, self._lost = pulse, seconds / BEATS, lost
        self._over = threading.Event()
        self._rounds = 0
        self._verdict = ""
        self._speaker = threading.Thread(target=self._speak, name="heartbeat", daemon=True)
        self._speaker.start()
        threading.Thread(target=self._judge, name="heartbeat judge", daemon=True).start()

    def stop(self) -> None:
        self._over.set()
        self._speaker.join(timeout=FAREWELL_SECONDS)

    def _speak(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(RuntimeError):  # the store is out of reach: a round that does not count
                self._verdict = self._verdict or self._pulse.beat()
                self._rounds += 1
            self._over.wait(self._interval)
        with contextlib.suppress(RuntimeError):
            self._pulse.leave()

    def _judge(self) -> None:
        rounds, idle = 0, 0
        while not self._over.wait(self._interval):
            rounds, idle = self._rounds, 0 if self._rounds != rounds else idle + 1
            verdict = self._verdict or (f"rank 0 on {self._pulse.first_host}" if idle >= BEATS else "")
            if verdict:
                self._over.wait(2 * self._interval)  # for the others to hear it too, and for backends that report
                if not self._over.is_set():
                    self._lost(verdict)
                return


def timeout_seconds() -> float:
    """Seconds of silence after which a rank counts as lost; 0 for never.

    Raises:
        LaunchError: the environment variable is not a number of seconds.
    """
    text = os.environ.get(VARIABLE, "")
    try:
        seconds = float(text) if text else DEFAULT_SECONDS
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise LaunchError(f"{VARIABLE}='{text}': must be seconds, or 0 to wait as long as collectives do")
    return seconds


@contextmanager
def lost_hosts_noticed(rank: int, world_size: int) -> Iterator[None]:
    """End this process if another rank falls silent. All ranks enter together.

    Args:
        rank: of this process.
        world_size: number of ranks; one has nobody to lose.
    """
    seconds = timeout_seconds()
    if world_size == 1 or seconds == 0 or not torch.distributed.is_initialized():
        yield
        return

    def leave(lost: str) -> NoReturn:
        """From a thread: the main one waits inside a collective, which nothing interrupts."""
        print(
            f"ganforge: rank {rank} on {socket.gethostname()} stops: nothing was heard of {lost} for {seconds:g} s, so "
            "its host or the network to it is down; start the same command again to resume from the last checkpoint",
            file=sys.stderr,
            flush=True,
        )
        os._exit(2)

    store = cast(Store, PrefixStore("heartbeat", distributed_c10d._get_default_store().clone()))
    watch = HostWatch(Pulse(store, rank, world_size, socket.gethostname()), seconds, leave)
    try:
        yield
    finally:
        watch.stop()
