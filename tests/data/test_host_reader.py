"""The decoded file of a node: made once by all ranks together, surviving kills, and no larger than it must be."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import pythons
from conftest import read_all, smooth_pictures

from ganforge.data.loader import Loader
from ganforge.data.pack import pack
from ganforge.data.plan import PackOptions
from ganforge.data.shards.registered import open_folder
from ganforge.data.sources.arrays import ArraySource
from ganforge.errors import DataError

RANK = textwrap.dedent("""
    import hashlib, json, os, sys, time
    from pathlib import Path
    import numpy as np
    from ganforge.data.loader import Loader
    from ganforge.data.readers import host
    from ganforge.data.shards.registered import open_folder
    folder, cache, rank, world = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    delay = float(sys.argv[5])
    host._BLOCK_BYTES = 100_000
    dataset = open_folder(Path(folder))
    read, count = dataset.read, 0
    def counted(ids, out):
        global count
        count += len(ids)
        print(count, flush=True)
        time.sleep(delay)
        return read(ids, out)
    dataset.read = counted
    def memory(word):
        lines = open("/proc/self/smaps_rollup").read().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith(word)) * 1024
    before = memory("Pss:")
    loader = Loader(dataset, batch_size=48, rank=rank, world_size=world, reader="host", cache_dir=cache, workers=1)
    digest = hashlib.sha256()
    for _ in range(12):
        digest.update(loader.next().ids.tobytes())
    loader.close()
    print(json.dumps({"decoded": count, "digest": digest.hexdigest()}))
""")


def start(folder: Path, cache: Path, rank: int, world: int, delay: float = 0.0) -> pythons.Python:
    return pythons.start("-c", RANK, folder, cache, rank, world, delay)


def last_line(process: pythons.Python) -> dict[str, object]:
    text = process.communicate(timeout=90)[0]
    assert process.returncode == 0, text
    return json.loads(text.splitlines()[-1])


@pytest.mark.slow
def test_ranks_decode_every_sample_once_together(jpeg_folder: Path, tmp_path: Path) -> None:
    ranks = [last_line(process) for process in [start(jpeg_folder, tmp_path, rank, 2, 0.05) for rank in range(2)]]
    assert sum(int(str(rank["decoded"])) for rank in ranks) == 300
    again = last_line(start(jpeg_folder, tmp_path, 0, 2))
    assert again["decoded"] == 0, "a restart decoded again"
    assert again["digest"] == ranks[0]["digest"]


@pytest.mark.slow
def test_a_killed_rank_costs_its_block_and_nobody_hangs(jpeg_folder: Path, tmp_path: Path) -> None:
    first = start(jpeg_folder, tmp_path, 0, 2, 0.3)
    for line in first.lines():
        if int(line) >= 64:
            break
    second = start(jpeg_folder, tmp_path, 1, 2, 0.0)
    time.sleep(0.3)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    result = last_line(second)
    assert 100 <= int(str(result["decoded"])) < 300, "finished blocks must stay, the torn one must be done again"
    rows = np.memmap(next((tmp_path / "decoded").glob("*/rows.u8")), np.uint8, "r")
    assert np.array_equal(rows.reshape(300, 32, 32, 3), read_all(open_folder(jpeg_folder)))


def test_a_cache_that_cannot_be_written_names_folder_and_remedy(jpeg_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "decoded").write_text("in the way")
    with pytest.raises(DataError, match=r"decoded.*cannot be written.*reader to 'encoded'"):
        Loader(open_folder(jpeg_folder), batch_size=4, reader="host", cache_dir=tmp_path)


MEMORY = textwrap.dedent("""
    import sys, time
    from pathlib import Path
    import torch
    from ganforge.data.loader import Loader
    from ganforge.data.shards.registered import open_folder
    torch.set_num_threads(1)
    def memory():
        # Without libraries: a process's share of those depends on who else has them mapped at the moment.
        total, is_library = 0, False
        for line in open("/proc/self/smaps"):
            words = line.split()
            if "-" in words[0]:
                is_library = ".so" in words[-1]
            elif words[0] == "Pss:" and not is_library:
                total += int(words[1])
        return total * 1024
    # Imports, threads and the float batches are not the data: warm them up on a small set first.
    small = Loader(open_folder(Path(sys.argv[2])), batch_size=16, reader=sys.argv[3], cache_dir=Path(sys.argv[4]))
    for _ in range(100):
        small.next()
    small.close(); del small
    before = memory()
    loader = Loader(open_folder(Path(sys.argv[1])), batch_size=16, reader=sys.argv[3], cache_dir=Path(sys.argv[4]))
    for _ in range(len(loader.dataset) // 16 + 1):
        batch = loader.next()
    del batch
    Path(sys.argv[5]).touch()
    while len(list(Path(sys.argv[5]).parent.glob("ready*"))) < int(sys.argv[6]):
        time.sleep(0.05)
    time.sleep(0.3)
    print(memory() - before, loader.dataset.decoded_bytes, flush=True)
    sys.stdin.read()
""")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reader", "codec", "ranks"), [("device", "raw", 1), ("device", "jpeg", 1), ("host", "jpeg", 2)]
)
def test_a_resident_set_adds_its_decoded_size_per_node_and_ten_percent(
    reader: str, codec: str, ranks: int, tmp_path: Path
) -> None:
    rows = np.tile(smooth_pictures(500, 64), (40, 1, 1, 1))
    pack(ArraySource(rows, None, "x"), tmp_path / "large", PackOptions(codec=codec, workers=1))  # type: ignore[arg-type]
    pack(ArraySource(rows[:300], None, "x"), tmp_path / "small", PackOptions(codec=codec, workers=1))  # type: ignore[arg-type]
    processes = []
    for rank in range(ranks):
        arguments = [str(tmp_path / "large"), str(tmp_path / "small"), reader, str(tmp_path / "cache")]
        arguments += [str(tmp_path / f"ready{rank}"), str(ranks)]
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", MEMORY, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        )
    figures = []
    for process in processes:
        assert process.stdout is not None
        figures.append([int(word) for word in process.stdout.readline().split()])
    for process in processes:
        process.communicate("", timeout=30)
    added, decoded = sum(figure[0] for figure in figures), figures[0][1]
    print(f"{reader} {codec} {ranks}: {added / decoded:.3f} of {decoded / 1e6:.0f} MB")
    assert added <= 1.1 * decoded


@pytest.mark.slow
def test_200_000_samples_start_in_under_a_second_with_a_warm_index(tmp_path: Path) -> None:
    rows = np.tile(smooth_pictures(1000, 8), (200, 1, 1, 1))
    pack(ArraySource(rows, np.arange(200_000) % 10, "x"), tmp_path / "raw", PackOptions(codec="raw", workers=1))
    for reader in ("raw", "encoded"):
        began = time.process_time()  # of all threads: another process may have the cores
        loader = Loader(open_folder(tmp_path / "raw"), batch_size=128, reader=reader, cache_dir=tmp_path)
        loader.next()
        took = time.process_time() - began
        print(f"{reader}: {took:.3f} s")
        assert took < 1, f"{reader}: {took:.2f} s"
        loader.close()
