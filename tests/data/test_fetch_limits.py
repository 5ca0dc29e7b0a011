"""A fetch takes no more bytes than were expected or there is room for, and leaves nothing behind when it is killed."""

import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from faultyserver import FaultyServer
from filelock import FileLock

from ganforge.data.cache import CACHE_LIMIT_BYTES, ShardCache
from ganforge.data.fetch import Patience, fetch, fetch_bytes
from ganforge.data.foreign import ReadOptions, open_foreign
from ganforge.data.remote import open_remote
from ganforge.data.shards.manifest import load_manifest
from ganforge.errors import DataError
from ganforge.loader_options import LoaderOptions
from ganforge.registry import register

QUICK = Patience(attempts=2, silence=0.6, pause=0.05)
ENOUGH = 20_000_000
"""Bytes that may be on their way in sockets and buffers when somebody hangs up."""


@pytest.fixture
def server(raw_folder: Path) -> Iterator[FaultyServer]:
    found = FaultyServer(raw_folder)
    yield found
    found.stop()


@pytest.mark.timeout(60)
def test_a_body_without_end_is_cut_at_the_expected_size(server: FaultyServer, tmp_path: Path) -> None:
    server.always["x.tar"] = "endless"
    with pytest.raises(DataError, match=r"gave up after 2 attempts: more than the expected 1000 bytes"):
        fetch(f"{server.url}/x.tar", tmp_path / "x.tar", size=1000, patience=QUICK)
    assert server.sent < ENOUGH
    assert not list(tmp_path.iterdir())


@pytest.mark.timeout(60)
def test_a_body_without_end_is_cut_at_the_limit_of_the_cache_and_not_asked_for_again(
    server: FaultyServer, tmp_path: Path
) -> None:
    server.always["x.tar"] = "endless"
    cache = ShardCache(tmp_path, QUICK, limit_bytes=5_000_000)
    with pytest.raises(DataError, match=r"x\.tar: is larger than the 5 MB .*cache_limit_gb"):
        cache.get(f"{server.url}/x.tar")
    assert server.sent < ENOUGH
    assert server.requests == ["x.tar"]
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["dataset.json", "labels.npy"])
def test_what_stands_beside_the_shards_is_bounded_too(name: str, server: FaultyServer, tmp_path: Path) -> None:
    server.always[name] = "endless"
    with pytest.raises(DataError, match=rf"{name}: is larger than"):
        open_remote(server.url, tmp_path, QUICK)
    assert server.sent < ENOUGH


def test_a_longer_file_than_expected_is_refused_before_it_comes(server: FaultyServer, tmp_path: Path) -> None:
    shard = load_manifest(server.folder).shards[0]
    server.always[shard.name] = "longer"
    with pytest.raises(DataError, match="more than the expected"):
        fetch(f"{server.url}/{shard.name}", tmp_path / "x.tar", size=shard.bytes, patience=QUICK)


@pytest.mark.timeout(60)
def test_a_server_that_drips_is_given_up(server: FaultyServer, tmp_path: Path) -> None:
    server.always["x.tar"] = "drip"
    with pytest.raises(DataError, match=r"gave up after 2 attempts: only \d+ bytes came in"):
        fetch(f"{server.url}/x.tar", tmp_path / "x.tar", patience=QUICK)


@pytest.mark.timeout(60)
def test_redirects_in_a_circle_are_given_up(server: FaultyServer) -> None:
    server.always["x.tar"] = "loop"
    with pytest.raises(DataError, match=r"x\.tar: gave up after 2 attempts") as caught:
        fetch_bytes(f"{server.url}/x.tar", 1000, patience=QUICK)
    assert "\n" not in str(caught.value)
    assert len(server.requests) < 50


@pytest.mark.timeout(60)
@pytest.mark.parametrize("command", ["cat /dev/zero", "yes & wait", "cat /dev/zero; sleep 97"])
def test_a_command_without_end_is_killed_at_the_limit(command: str, tmp_path: Path) -> None:
    began = time.time()
    with pytest.raises(DataError, match="larger than the 3 MB"):
        fetch(f"pipe:{command}", tmp_path / "x.tar", limit=3_000_000, patience=Patience(silence=30))
    assert time.time() - began < 8, "it was waited for"


def test_what_a_command_complains_about_takes_no_memory(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ended with code 3: no luck$"):
        fetch("pipe:head -c 50000000 /dev/zero >&2; echo >&2; echo no luck >&2; exit 3", tmp_path / "x", patience=QUICK)


def test_a_device_in_place_of_a_shard_ends_at_the_limit(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="larger than the 1 MB"):
        fetch("/dev/zero", tmp_path / "x.tar", limit=1_000_000, patience=QUICK)


def test_the_limit_of_the_recipe_holds_while_foreign_shards_are_indexed(raw_folder: Path, tmp_path: Path) -> None:
    shards = load_manifest(raw_folder).shards
    locations = [f"pipe:cat '{raw_folder / shard.name}'" for shard in shards]
    limit = 2 * max(shard.bytes for shard in shards)
    assert sum(shard.bytes for shard in shards) > limit
    open_foreign("x", locations, tmp_path, ReadOptions(), QUICK, cache_limit_bytes=limit)
    assert 0 < sum(path.stat().st_size for path in tmp_path.rglob("*.tar")) <= limit
    component = register.dataset.get("shards")
    assert "cache_limit_bytes" in component.supplied
    assert LoaderOptions().cache_limit_bytes == CACHE_LIMIT_BYTES == 100_000_000_000


KILLED = textwrap.dedent("""
    import os, signal, sys, threading, time
    from pathlib import Path
    from ganforge.data.cache import ShardCache
    cache = ShardCache(Path(sys.argv[1]))
    target = cache.path(sys.argv[2])
    def kill():
        while not any(path.stat().st_size > 1_500_000 for path in target.parent.glob(".*.tmp")):
            time.sleep(0.01)
        print("begun", flush=True)
        if sys.argv[3] == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
    threading.Thread(target=kill, daemon=True).start()
    cache.get(sys.argv[2])
""")
SLOW = "pipe:head -c 2000000 /dev/zero; sleep 6; echo {}"


def start(cache: Path, location: str, way: str) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", KILLED, str(cache), location, way]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def temporaries(cache: Path) -> list[Path]:
    return sorted(cache.rglob(".*.tmp"))


def test_what_killed_fetches_leave_goes_with_the_next_fetch(server: FaultyServer, tmp_path: Path) -> None:
    for number in range(3):
        start(tmp_path, SLOW.format(number), "kill").wait(30)
        assert len(temporaries(tmp_path)) == 1, "they add up"
    name = load_manifest(server.folder).shards[0].name
    ShardCache(tmp_path, QUICK).get(f"{server.url}/{name}")
    assert not temporaries(tmp_path)


def test_what_is_still_being_fetched_stays_and_counts_against_the_limit(tmp_path: Path) -> None:
    living = start(tmp_path, SLOW.format("x"), "live")
    assert living.stdout is not None
    assert living.stdout.readline() == "begun\n"
    cache = ShardCache(tmp_path, limit_bytes=2_500_000)
    old = cache.path("http://x/old.tar")
    old.parent.mkdir(exist_ok=True, parents=True)
    old.write_bytes(bytes(1_000_000))
    cache.make_room()
    assert len(temporaries(tmp_path)) == 1, "a fetch of another process was cut off"
    assert not old.exists(), "2 MB on their way and 1 MB here are more than 2.5 MB"
    living.kill()
    living.wait()
    cache.make_room()
    assert not temporaries(tmp_path)


@pytest.mark.timeout(60)
def test_a_lock_that_is_held_is_no_reason_to_wait(tmp_path: Path) -> None:
    cache = ShardCache(tmp_path, limit_bytes=10)
    target = cache.path("http://x/a.tar")
    target.parent.mkdir(parents=True)
    (target.parent / f".{target.name}.1.2.tmp").write_bytes(bytes(100))
    with FileLock(target.with_suffix(".lock")):
        cache.make_room()  # else it would wait for ever
        assert temporaries(tmp_path)
