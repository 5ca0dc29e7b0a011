"""The pulse by which ranks know of each other: who is lost, who has only left, who only sleeps."""

import time
from datetime import timedelta

import pytest
from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage]  # not in its list

from ganforge.errors import LaunchError
from ganforge.parallel.heartbeat import BEATS, HostWatch, Pulse, timeout_seconds


@pytest.fixture
def store() -> TCPStore:
    return TCPStore("127.0.0.1", 0, is_master=True, timeout=timedelta(seconds=5))


def pulses(store: TCPStore, count: int) -> list[Pulse]:
    return [Pulse(store.clone(), rank, count, f"worker-{rank}") for rank in range(count)]


def test_a_silent_rank_is_named_with_its_host_to_all_who_are_left(store) -> None:
    first, second, third = pulses(store, 3)
    for pulse in (first, second, third):
        assert pulse.beat() == ""
    for _ in range(BEATS):
        assert second.beat() == first.beat() == ""
    second.beat()
    assert first.beat() == "rank 2 on worker-2"
    assert second.beat() == "rank 2 on worker-2"


def test_a_rank_that_beats_before_the_first_one_is_ready_keeps_its_name(store) -> None:
    second = Pulse(store.clone(), 1, 2, "worker-1")
    store.set("beat/1", "1")
    store.set("host/1", "worker-1")
    first = Pulse(store, 0, 2, "worker-0")
    for _ in range(BEATS + 1):
        verdict = first.beat()
    assert verdict == "rank 1 on worker-1"
    assert second.beat() == verdict


def test_the_first_host_is_known_by_name_from_the_first_beat_of_another(store) -> None:
    _, second = pulses(store, 2)
    for _ in range(BEATS + 1):
        verdict = second.beat()
    assert verdict == "rank 0 on worker-0", "though it has never beaten"


def test_several_silent_ranks_are_counted(store) -> None:
    first, *_ = pulses(store, 4)
    for _ in range(BEATS + 1):
        verdict = first.beat()
    assert verdict == "rank 1 on an unknown host and 2 more"


def test_a_rank_that_has_finished_is_not_lost(store) -> None:
    first, second = pulses(store, 2)
    second.beat()
    second.leave()
    assert {first.beat() for _ in range(3 * BEATS)} == {""}
    first.leave()
    assert {second.beat() for _ in range(3 * BEATS)} == {""}


def test_a_job_that_slept_as_a_whole_finds_nobody_lost_when_it_wakes_up(store) -> None:
    first, second = pulses(store, 2)
    second.beat()
    for _ in range(BEATS):
        first.beat()
    time.sleep(0.1)  # however long: only own beats count, and the others beat again, too
    second.beat()
    assert first.beat() == ""


class Stuck:
    """A store whose host is out of reach: nothing comes back."""

    def set(self, key: str, value: str) -> None:
        time.sleep(3600)  # in a thread that nobody waits for

    def multi_get(self, keys: list[str]) -> list[bytes]:
        raise AssertionError("never reached")

    def compare_set(self, key: str, expected: str, value: str) -> bytes:
        raise AssertionError("never reached")


def wait_for(found: list[str]) -> float:
    began = time.monotonic()
    while not found and time.monotonic() - began < 10:
        time.sleep(0.01)
    return time.monotonic() - began


def test_a_rank_whose_store_does_not_answer_says_that_the_first_host_is_lost() -> None:
    found: list[str] = []
    HostWatch(Pulse(Stuck(), 1, 2, "worker-1"), 0.6, found.append)
    assert wait_for(found) < 5
    assert found == ["rank 0 on the first host"]


def test_a_watch_that_was_stopped_says_nothing_though_the_others_fall_silent(store) -> None:
    found: list[str] = []
    first, second = pulses(store, 2)
    watches = [HostWatch(pulse, 0.24, found.append) for pulse in (first, second)]
    time.sleep(0.1)
    watches[1].stop()
    time.sleep(0.6)
    assert found == [], "rank 1 has left: rank 0 may take its time to close"
    watches[0].stop()
    time.sleep(0.3)
    assert found == []


def test_a_watch_reports_a_rank_that_stops_beating(store) -> None:
    found: list[str] = []
    first, second = pulses(store, 2)
    second.beat()
    watch = HostWatch(first, 0.24, found.append)
    assert wait_for(found) < 5
    watch.stop()
    assert found == ["rank 1 on worker-1"]


@pytest.mark.parametrize(("text", "seconds"), [("", 60.0), ("0", 0.0), ("12.5", 12.5)])
def test_the_time_comes_from_the_environment(text, seconds, monkeypatch) -> None:
    monkeypatch.setenv("GANFORGE_HOST_TIMEOUT", text)
    assert timeout_seconds() == seconds


@pytest.mark.parametrize("text", ["soon", "-1", "inf", "nan"])
def test_a_time_that_is_none_is_refused_by_name(text, monkeypatch) -> None:
    monkeypatch.setenv("GANFORGE_HOST_TIMEOUT", text)
    with pytest.raises(LaunchError, match=f"GANFORGE_HOST_TIMEOUT='{text}'"):
        timeout_seconds()
