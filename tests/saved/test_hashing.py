"""The sha256 of a checkpoint's files is taken beside the writing, and is that of what stands on the disk."""

import errno
import hashlib
import time
import zipfile
from pathlib import Path

import pytest
import torch

from ganforge.saved.checkpoint_writer import CheckpointWriter
from ganforge.saved.hashing import PIECE, Hasher


@pytest.mark.parametrize("sizes", [(), (1,), (5, PIECE - 5), (3, PIECE, 7, 2 * PIECE + 1, 9)])
def test_a_growing_file_has_the_sha256_of_its_bytes(sizes: tuple[int, ...], tmp_path: Path) -> None:
    hasher = Hasher()
    with hasher.open(tmp_path / "x") as file:
        for number, size in enumerate(sizes):
            file.write(bytes([number]) * size)
    found = hasher.sha256("x")
    hasher.close()
    written = b"".join(bytes([number]) * size for number, size in enumerate(sizes))
    assert (tmp_path / "x").read_bytes() == written
    assert found == hashlib.sha256(written).hexdigest()


@pytest.mark.skipif(not Path("/proc/self/fdinfo").exists(), reason="how far a file is read is only told by Linux")
def test_a_file_is_hashed_while_it_is_written(tmp_path: Path) -> None:
    hasher = Hasher()
    with hasher.open(tmp_path / "x") as file:
        file.write(bytes(2 * PIECE))
        end = time.monotonic() + 30
        while read_so_far(tmp_path / "x") < 2 * PIECE:
            assert time.monotonic() < end, "the thread waits for the end of the file"
            time.sleep(0.01)
    hasher.close()


def read_so_far(path: Path) -> int:
    """How far this process has read the file, in bytes."""
    furthest = 0
    for link in Path("/proc/self/fd").iterdir():
        try:
            if link.resolve() == path.resolve():
                told = dict(line.split(":") for line in Path(f"/proc/self/fdinfo/{link.name}").read_text().splitlines())
                is_read_only = int(told["flags"], 8) & 3 == 0
                furthest = max(furthest, int(told["pos"]) if is_read_only else 0)
        except OSError:  # closed since
            continue
    return furthest


def write_on_a_full_disk(hasher: Hasher, path: Path) -> None:
    with hasher.open(path) as file:
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_write_that_fails_leaves_no_thread_waiting(tmp_path: Path) -> None:
    hasher = Hasher()
    with pytest.raises(OSError, match="No space left"):
        write_on_a_full_disk(hasher, tmp_path / "x")
    assert hasher.sha256("x")  # ends
    hasher.close()


def test_a_saved_file_is_a_whole_zip_for_other_programs(tmp_path: Path) -> None:
    """`torch.save` without its CRC32 would be faster, and every other reader of zips would call the file damaged."""
    writer = CheckpointWriter(tmp_path, 1)
    writer.stage()
    weights = torch.arange(3_000_000.0)
    writer.write_plain("training", {"weights": weights, "half": [weights[::2], 5, "text"]})
    path = writer.commit({"step": 1}) / "training.pt"
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
    for mapped in (False, True):
        assert torch.equal(torch.load(path, weights_only=True, mmap=mapped)["weights"], weights)
