"""Shards from servers that fail: fetched again, or a clear error in time, never a hang or wrong bytes."""

import asyncio
import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import pythons
from conftest import read_all, smooth_pictures
from faultyserver import FaultyServer

from ganforge.data.batches.prefetched import PrefetchedSource
from ganforge.data.cache import ShardCache
from ganforge.data.fetch import Patience, fetch
from ganforge.data.loader import Loader
from ganforge.data.remote import open_remote
from ganforge.data.shards.manifest import Manifest, load_manifest
from ganforge.data.shards.registered import open_folder, open_shards
from ganforge.errors import DataError
from ganforge.registry import register

QUICK = Patience(attempts=3, silence=0.6, pause=0.05)
STEADY = Patience(attempts=3, silence=30, pause=0.05)
"""Where requests are counted: a busy machine may take its time, and is not asked again."""


@pytest.fixture
def server(raw_folder: Path) -> Iterator[FaultyServer]:
    found = FaultyServer(raw_folder)
    yield found
    found.stop()


def batch_ids(dataset: object, cache: Path, count: int = 8, **options: object) -> np.ndarray:
    loader = Loader(dataset, batch_size=48, cache_dir=cache, **options)  # type: ignore[arg-type]
    ids = np.concatenate([loader.next().ids for _ in range(count)])
    loader.close()
    return ids


@pytest.mark.parametrize("fault", ["503", "hang", "stall", "cut", "wrong"])
def test_a_server_that_fails_twice_is_asked_a_third_time(fault: str, server: FaultyServer, tmp_path: Path) -> None:
    shard = load_manifest(server.folder).shards[0]
    server.faults[shard.name].extend([fault, fault])
    fetch(f"{server.url}/{shard.name}", tmp_path / "x.tar", size=shard.bytes, sha256=shard.sha256, patience=QUICK)
    assert (tmp_path / "x.tar").read_bytes() == (server.folder / shard.name).read_bytes()
    assert server.requests.count(shard.name) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar"], "temporary files stay behind"


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("503", "503"),
        ("hang", "nothing came for 0.6 seconds"),
        ("stall", "nothing came for 0.6 seconds"),
        ("cut", ""),
        ("wrong", "wrong bytes"),
    ],
)
def test_a_server_that_always_fails_is_given_up_in_one_line(
    fault: str, message: str, server: FaultyServer, tmp_path: Path
) -> None:
    shard = load_manifest(server.folder).shards[0]
    server.always[shard.name] = fault
    with pytest.raises(DataError, match=rf"{shard.name}: gave up after 3 attempts: .*{message}") as caught:
        fetch(f"{server.url}/{shard.name}", tmp_path / "x.tar", size=shard.bytes, sha256=shard.sha256, patience=QUICK)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_slow_server_may_take_its_time(server: FaultyServer, tmp_path: Path) -> None:
    shard = load_manifest(server.folder).shards[0]
    server.always[shard.name] = "slow"
    began = time.monotonic()
    patience = Patience(attempts=3, silence=1.5, pause=0.05)
    fetch(f"{server.url}/{shard.name}", tmp_path / "x.tar", sha256=shard.sha256, patience=patience)
    assert time.monotonic() - began > patience.silence, "it was not slow"
    assert server.requests.count(shard.name) == 1


def test_patience_ends_within_a_minute() -> None:
    patience = Patience()
    pauses = sum(patience.pause * 2**n for n in range(patience.attempts - 1))
    assert patience.attempts * (patience.silence + 1) + pauses < 45


def test_a_missing_file_is_not_asked_for_again(server: FaultyServer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.tar: does not exist \(404\)"):
        fetch(f"{server.url}/nothing.tar", tmp_path / "x.tar", patience=QUICK)
    assert server.requests.count("nothing.tar") == 1


def test_no_server_at_all_is_an_error(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(DataError, match="gave up after 3 attempts"):
        fetch(f"http://127.0.0.1:{port}/x.tar", tmp_path / "x.tar", patience=QUICK)


def test_training_from_a_url_gives_the_batches_of_the_folder(server: FaultyServer, tmp_path: Path) -> None:
    for name, fault in zip(
        ["shard-000000.tar", "shard-000001.tar", "dataset.json"], ["cut", "503", "503"], strict=True
    ):
        server.faults[name].append(fault)
    remote = open_remote(server.url, tmp_path, STEADY)
    local = open_folder(server.folder)
    assert remote.digest == local.digest
    ids = batch_ids(remote, tmp_path)
    assert np.array_equal(ids, batch_ids(local, tmp_path))
    assert np.array_equal(read_all(remote), read_all(local))
    again = open_remote(server.url, tmp_path, STEADY)
    before = Counter(server.requests)
    batch_ids(again, tmp_path)
    assert not [name for name in Counter(server.requests) - before if name.endswith(".tar")], "shards fetched twice"


def test_encoded_shards_of_a_url_are_indexed_here(jpeg_folder: Path, tmp_path: Path) -> None:
    server = FaultyServer(jpeg_folder)
    remote = open_remote(f"{server.url}/dataset.json", tmp_path, QUICK)
    assert np.array_equal(read_all(remote), read_all(open_folder(jpeg_folder)))
    server.stop()


def test_the_shards_component_takes_urls(server: FaultyServer, tmp_path: Path) -> None:
    dataset = register.dataset.get("shards").factory(tmp_path, path=server.url)
    assert len(dataset) == 300


@pytest.fixture
def many(packed: Callable[..., tuple[Path, Manifest]]) -> Path:
    """Twenty-odd shards of about 50 kB."""
    return packed(smooth_pictures(1280, 16), np.arange(1280) % 4, shard_bytes=50_000)[0]


def test_the_cache_stays_within_its_limit_and_fetches_ahead(many: Path, tmp_path: Path) -> None:
    shards = load_manifest(many).shards
    largest = max(shard.bytes for shard in shards)
    limit = 6 * largest
    server = FaultyServer(many)
    remote = open_remote(server.url, tmp_path / "cache", STEADY)
    loader = Loader(remote, batch_size=32, cache_dir=tmp_path / "cache", cache_limit_gb=limit / 1e9)
    assert cast(PrefetchedSource, loader.source).order.window == 3
    seen, most = [], 0
    for _ in range(80):  # two epochs
        seen.append(loader.next().ids)
        used = sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*.tar"))
        most = max(most, used)
    loader.close()
    server.stop()
    assert most <= limit + 4 * largest, f"{most} bytes in a cache of {limit}"
    ids = np.concatenate(seen)
    assert (np.bincount(ids[:1280], minlength=1280) == 1).all()
    fetched = Counter(name for name in server.requests if name.endswith(".tar"))
    assert max(fetched.values()) <= 3, "a shard was thrown out while it was needed"
    alone = Loader(open_folder(many), batch_size=32, window=3, cache_dir=tmp_path / "cache")
    assert np.array_equal(ids, np.concatenate([alone.next().ids for _ in range(80)]))


def test_a_cache_too_small_for_two_shards_is_refused(many: Path, tmp_path: Path) -> None:
    server = FaultyServer(many)
    with pytest.raises(DataError, match=r"cache_limit_gb: .* cannot hold two shards"):
        Loader(open_remote(server.url, tmp_path), batch_size=32, cache_dir=tmp_path, cache_limit_gb=1e-5)
    server.stop()


def test_the_next_window_is_there_before_it_is_needed(many: Path, tmp_path: Path) -> None:
    server = FaultyServer(many)
    remote = open_remote(server.url, tmp_path, STEADY)
    loader = Loader(remote, batch_size=32, window=2, cache_dir=tmp_path)
    loader.next()
    following = cast(PrefetchedSource, loader.source).order.shards_ahead(0)[1]
    names = {load_manifest(many).shards[shard].name for shard in following}
    deadline = time.time() + 60
    while not names <= set(server.requests) and time.time() < deadline:
        time.sleep(0.02)
    assert names <= set(server.requests)
    loader.close()
    server.stop()


RANK = textwrap.dedent("""
    import sys
    from pathlib import Path
    from ganforge.data.loader import Loader
    from ganforge.data.remote import open_remote
    from ganforge.data.fetch import Patience
    from ganforge.errors import GanforgeError
    url, cache, rank, world = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    patience = Patience(attempts=3, silence=float(sys.argv[5]), pause=0.1)
    try:
        dataset = open_remote(url, cache, patience)
        loader = Loader(dataset, batch_size=48, rank=rank, world_size=world, cache_dir=cache, reader=sys.argv[6])
        for _ in range(8):
            loader.next()
        loader.close()
    except GanforgeError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
""")


def ranks(url: str, cache: Path, count: int, silence: float = 5, reader: str = "auto") -> list[pythons.Python]:
    return [pythons.start("-c", RANK, url, cache, rank, count, silence, reader) for rank in range(count)]


@pytest.mark.slow
def test_one_rank_of_a_node_fetches_each_shard(server: FaultyServer, tmp_path: Path) -> None:
    processes = ranks(server.url, tmp_path, 3)
    for process in processes:
        assert process.communicate(timeout=60)[1] == ""
        assert process.returncode == 0
    fetched = Counter(name for name in server.requests if name.endswith(".tar"))
    assert set(fetched.values()) == {1}, fetched


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["hang", "503", "wrong"])
def test_every_rank_ends_with_the_same_line_and_a_code(fault: str, server: FaultyServer, tmp_path: Path) -> None:
    server.always["shard-000002.tar"] = fault
    began = time.time()
    processes = ranks(server.url, tmp_path, 3, silence=3)
    said = [process.communicate(timeout=60)[1] for process in processes]
    assert time.time() - began < 60
    assert [process.returncode for process in processes] == [2, 2, 2]
    for text in said:
        last = [line for line in text.splitlines() if "gave up" in line]
        assert last
        assert all("shard-000002.tar" in line for line in last)
    assert server.requests.count("shard-000002.tar") <= 9


def test_nothing_outside_the_cache_folder_is_written(server: FaultyServer, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in server.folder.iterdir()}
    home = tmp_path / "home"
    home.mkdir()
    environment = {**os.environ, "HOME": str(home), "TMPDIR": str(home)}
    arguments = [sys.executable, "-c", RANK, server.url, str(tmp_path / "cache"), "0", "1", "5", "host"]
    subprocess.run(arguments, check=True, cwd=home, env=environment, timeout=60)
    assert not [path for path in home.rglob("*") if path.is_file() and "torch" not in str(path)]
    assert before == {path: path.stat().st_mtime_ns for path in server.folder.iterdir()}


def test_a_shard_is_fetched_where_an_event_loop_runs_already_as_in_a_notebook(
    server: FaultyServer, raw_folder: Path, tmp_path: Path
) -> None:
    async def cell() -> None:
        fetch(f"{server.url}/shard-000000.tar", tmp_path / "fetched", patience=QUICK)

    asyncio.run(cell())
    assert (tmp_path / "fetched").read_bytes() == (raw_folder / "shard-000000.tar").read_bytes()


def test_a_pipe_is_fetched_whole_and_its_failure_is_told(raw_folder: Path, tmp_path: Path) -> None:
    shard = load_manifest(raw_folder).shards[0]
    fetch(f"pipe:cat '{raw_folder / shard.name}'", tmp_path / "x.tar", sha256=shard.sha256, patience=QUICK)
    with pytest.raises(DataError, match=r"gave up after 3 attempts: the command ended with code 3: no luck"):
        fetch("pipe:echo no luck >&2; exit 3", tmp_path / "y.tar", patience=QUICK)
    began = time.time()
    with pytest.raises(DataError, match="nothing came for"):
        fetch("pipe:echo begin; sleep 100 & wait", tmp_path / "z.tar", patience=QUICK)
    assert time.time() - began < 10
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert not re.search(r"^sleep 100$", left, re.M), "the command's children live on"


def test_a_pipe_of_many_shards_is_a_dataset(raw_folder: Path, tmp_path: Path) -> None:
    count = len(load_manifest(raw_folder).shards)
    path = f"pipe:cat '{raw_folder}'/shard-{{000000..{count - 1:06d}}}.tar"
    remote = open_shards(path, tmp_path)
    assert np.array_equal(read_all(remote), read_all(open_folder(raw_folder)))


def test_a_full_disk_or_a_forbidden_folder_is_an_error_with_a_name(server: FaultyServer, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    with pytest.raises(DataError, match="cannot be stored"):
        fetch(f"{server.url}/shard-000000.tar", blocked / "x.tar", patience=QUICK)


def test_a_failure_is_remembered_for_the_ranks_of_this_run_only(server: FaultyServer, tmp_path: Path) -> None:
    shard = load_manifest(server.folder).shards[0]
    cache = ShardCache(tmp_path, QUICK)
    server.always[shard.name] = "503"
    other_rank = ShardCache(tmp_path, QUICK)
    for rank in (cache, other_rank):
        with pytest.raises(DataError, match="gave up after 3 attempts"):
            rank.get(f"{server.url}/{shard.name}", size=shard.bytes, sha256=shard.sha256)
    assert server.requests.count(shard.name) == 3, "the second rank tried all over again"
    server.always.clear()
    time.sleep(0.02)
    path = ShardCache(tmp_path, QUICK).get(f"{server.url}/{shard.name}", size=shard.bytes, sha256=shard.sha256)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == shard.sha256


@pytest.mark.slow
def test_s3_works_against_a_real_server(raw_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("moto")
    boto3 = pytest.importorskip("boto3")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }.items():
            monkeypatch.setenv(name, value)
        client = boto3.client("s3", endpoint_url=f"http://{host}:{port}")
        client.create_bucket(Bucket="pictures")
        for path in raw_folder.iterdir():
            client.upload_file(str(path), "pictures", f"sets/raw/{path.name}")
        remote = open_shards("s3://pictures/sets/raw", tmp_path)
        assert np.array_equal(batch_ids(remote, tmp_path), batch_ids(open_folder(raw_folder), tmp_path))
        with pytest.raises(DataError, match="does not exist"):
            open_shards("s3://pictures/sets/other", tmp_path)
    finally:
        server.stop()
    shutil.rmtree(tmp_path)


def test_shards_in_use_stay_even_when_they_alone_exceed_the_limit(tmp_path: Path) -> None:
    cache = ShardCache(tmp_path)
    cache.limit_bytes = 2500
    paths = [cache.path(f"http://x/{number}.tar") for number in range(6)]
    for age, path in enumerate(paths):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(1000))
        os.utime(path, (age, age))
    cache.keep(paths[:4])
    assert [path.exists() for path in paths] == [True] * 4 + [False] * 2
    cache.keep(paths[2:4])
    assert [path.exists() for path in paths[:4]] == [False, False, True, True]
