"""Packing: the same bytes every time, whole or not at all, nothing lost."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import encoded, read_all, smooth_pictures
from webdataset.compat import WebDataset
from webdataset.writer import TarWriter

from ganforge.data.pack import REPORT_NAME, pack
from ganforge.data.plan import PackOptions, parse_bytes, parse_size
from ganforge.data.shards.manifest import Manifest, load_manifest, parse_manifest
from ganforge.data.shards.registered import open_folder, open_shards
from ganforge.data.sources.arrays import ArraySource
from ganforge.data.sources.folder import FolderSource
from ganforge.data.verify import verify
from ganforge.errors import DataError

Packed = Callable[..., tuple[Path, Manifest]]


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_pixels_and_labels_survive(packed: Packed, pictures: np.ndarray) -> None:
    labels = np.arange(len(pictures)) % 7
    out, manifest = packed(pictures, labels)
    dataset = open_folder(out)
    assert manifest.codec == "raw"
    assert np.array_equal(read_all(dataset), pictures)
    assert dataset.labels is not None
    assert np.array_equal(dataset.labels, labels)
    assert not verify(dataset).problems


def test_any_number_of_workers_gives_the_same_bytes(tmp_path: Path, picture_folder: Path) -> None:
    for workers in (1, 2, 3):
        options = PackOptions(size=(24, 24), codec="png", shard_bytes=100_000, workers=workers)
        pack(FolderSource(picture_folder), tmp_path / str(workers), options)
    assert hashes(tmp_path / "1") == hashes(tmp_path / "2") == hashes(tmp_path / "3")
    assert len(load_manifest(tmp_path / "1").shards) > 2


def test_a_shard_is_byte_for_byte_what_tarwriter_writes(packed: Packed, tmp_path: Path) -> None:
    rows = smooth_pictures(130, 16)
    out, manifest = packed(rows, np.zeros(130, int))
    with TarWriter(str(tmp_path / "stock.tar"), encoder=False, mtime=0) as writer:
        for number, row in enumerate(rows):
            from ganforge.data.pictures import encode

            writer.write({"__key__": f"{number:09d}", "npy": encode(row, "raw")[1], "cls": b"0"})
    assert (tmp_path / "stock.tar").read_bytes() == (out / manifest.shards[0].name).read_bytes()


def test_stock_webdataset_reads_our_shards(raw_folder: Path, jpeg_folder: Path, pictures: np.ndarray) -> None:
    urls = [str(path) for path in sorted(raw_folder.glob("*.tar"))]
    stock: Any = WebDataset(urls, shardshuffle=False)
    samples = list(stock.decode())
    assert np.array_equal(np.stack([sample["npy"] for sample in samples]), pictures)
    assert [sample["cls"] for sample in samples] == (np.arange(300) % 3).tolist()
    urls = [str(path) for path in sorted(jpeg_folder.glob("*.tar"))]
    stock = WebDataset(urls, shardshuffle=False)
    samples = list(stock.decode("rgb8"))
    assert len(samples) == 300
    assert {sample["jpg"].shape for sample in samples} == {(32, 32, 3)}


def test_subfolders_become_classes(jpeg_folder: Path) -> None:
    manifest = load_manifest(jpeg_folder)
    assert manifest.classes == ("ant", "bee", "cat")
    labels = open_folder(jpeg_folder).labels
    assert labels is not None
    assert np.bincount(labels).tolist() == [100, 100, 100]


def test_auto_codec_is_raw_when_small_and_untouched_or_png_when_large(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    jpeg = encoded(smooth_pictures(1, 80)[0], "JPEG", quality=80)
    (folder / "a.jpg").write_bytes(jpeg)
    (folder / "b.png").write_bytes(encoded(smooth_pictures(1, 100)[0]))
    pack(FolderSource(folder), tmp_path / "large", PackOptions(size=(80, 80), workers=1))
    large = open_folder(tmp_path / "large")
    assert bytes(large.encoded(0)) == jpeg, "a picture that has the size must stay untouched"
    assert bytes(large.encoded(1)).startswith(b"\x89PNG")
    assert large.codec == "keep"
    small = pack(FolderSource(folder), tmp_path / "small", PackOptions(size=(64, 64), workers=1))
    assert small.codec == "raw"


def test_keep_stores_nothing_that_cannot_be_decoded(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    whole = encoded(smooth_pictures(1, 80)[0], "JPEG")
    (folder / "a.jpg").write_bytes(whole)
    (folder / "b.jpg").write_bytes(whole[: len(whole) // 2])
    pack(FolderSource(folder), tmp_path / "out", PackOptions(codec="keep", workers=1, max_bad="1"))
    assert len(open_folder(tmp_path / "out")) == 1


def test_bad_pictures_are_reported_and_limited(tmp_path: Path, pictures: np.ndarray) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, picture in enumerate(pictures[:100]):
        (folder / f"{number:03d}.png").write_bytes(b"nonsense" if number in (7, 70) else encoded(picture))
    with pytest.raises(DataError, match=r"2 of the first .* 1 allowed; the first, 007\.png, .*`max_bad=...`"):
        pack(FolderSource(folder), tmp_path / "out", PackOptions(workers=1))
    assert not (tmp_path / "out").exists()
    manifest = pack(FolderSource(folder), tmp_path / "out", PackOptions(workers=1, max_bad="2%"))
    assert manifest.count == 98
    report = json.loads((tmp_path / "out" / REPORT_NAME).read_text())
    assert [row["name"] for row in report["left_out"]] == ["007.png", "070.png"]
    rows = read_all(open_folder(tmp_path / "out"))
    assert np.array_equal(rows, np.delete(pictures[:100], (7, 70), axis=0))


SCRIPT = """
import sys, time
from pathlib import Path
from ganforge.data import pack as module
from ganforge.data.plan import PackOptions
from ganforge.data.sources.folder import FolderSource
if __name__ == "__main__":
    def slow(done, total):
        print(done, flush=True)
        time.sleep(0.2)
    options = PackOptions(size=(24, 24), codec="png", shard_bytes=60_000, workers=int(sys.argv[3]))
    module.pack(FolderSource(Path(sys.argv[1])), Path(sys.argv[2]), options, slow if sys.argv[4] == "slow" else None)
"""


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_a_killed_pack_goes_on_and_never_looks_whole(tmp_path: Path, picture_folder: Path, workers: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    out = tmp_path / "out"
    arguments = [sys.executable, str(script), str(picture_folder), str(out), workers]
    process = subprocess.Popen([*arguments, "slow"], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 192:
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not out.exists()
    partial = out.with_name("out.partial")
    finished = sorted(partial.glob("*.tar"))
    assert finished
    with pytest.raises(DataError, match=r"not written to the end.*again"):
        open_shards(str(out), tmp_path / "cache")
    before = {path.name: path.stat().st_mtime_ns for path in finished[:-1]}
    subprocess.run([*arguments, "quick"], check=True, timeout=60)
    assert {name: (out / name).stat().st_mtime_ns for name in before} == before, "finished shards were packed again"
    options = PackOptions(size=(24, 24), codec="png", shard_bytes=60_000, workers=1)
    pack(FolderSource(picture_folder), tmp_path / "straight", options)
    assert hashes(out) == hashes(tmp_path / "straight")


def test_other_options_start_clean_after_a_kill(tmp_path: Path, picture_folder: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done >= 192:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        pack(FolderSource(picture_folder), out, PackOptions(size=(24, 24), shard_bytes=60_000, workers=1), stop)
    pack(FolderSource(picture_folder), out, PackOptions(size=(16, 16), workers=1))
    assert open_folder(out).spec.shape == (3, 16, 16)
    assert not verify(open_folder(out)).problems


def test_an_existing_folder_is_never_written_into(packed: Packed, pictures: np.ndarray) -> None:
    out, _ = packed(pictures[:10])
    with pytest.raises(DataError, match="exists already"):
        packed(pictures[:10])
    assert out.exists()


def test_the_digest_knows_content_but_not_how_it_was_packed(tmp_path: Path) -> None:
    rows = smooth_pictures(20, 16)
    digests = []
    for name, content, workers in (("a", rows, 1), ("b", rows, 2), ("c", rows[::-1], 1)):
        digests.append(pack(ArraySource(content, None, "x"), tmp_path / name, PackOptions(workers=workers)).digest)
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 299}, "says 299 samples, its shards add up to 300"),
        ({"version": 99}, "version 99.*update"),
        ({"format": "other"}, "is not a ganforge dataset"),
        ({"shape": [32, 32]}, "is not \\(channels"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_manifest_that_lies_is_refused(raw_folder: Path, change: dict[str, object], message: str) -> None:
    table = json.loads((raw_folder / "dataset.json").read_text())
    with pytest.raises(DataError, match=message):
        parse_manifest(json.dumps({**table, **change}), "x/dataset.json")


@pytest.mark.parametrize("name", ["../evil.tar", "/etc/evil.tar", "a/b.tar", ".hidden", "x y.tar"])
def test_a_shard_name_that_leaves_the_folder_is_refused(raw_folder: Path, name: str) -> None:
    table = json.loads((raw_folder / "dataset.json").read_text())
    table["shards"][0]["name"] = name
    with pytest.raises(DataError, match=r"shards\.0\.name"):
        parse_manifest(json.dumps(table), "x/dataset.json")


def test_sizes_are_parsed_or_refused() -> None:
    assert parse_size("64") == (64, 64)
    assert parse_size("48x64") == (48, 64)
    assert parse_bytes("1.5MB") == 1_500_000
    for text in ("x", "0", "64x64x3", "-4"):
        with pytest.raises(DataError, match="`size="):
            parse_size(text)
    with pytest.raises(DataError, match="`shard_size="):
        parse_bytes("big")


@pytest.mark.slow
def test_two_packs_at_once_do_not_mix(tmp_path: Path, picture_folder: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    arguments = [sys.executable, str(script), str(picture_folder), str(tmp_path / "out"), "1", "quick"]
    both = [subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    codes = sorted(process.wait(60) for process in both)
    for process in both:
        assert process.stderr is not None
        process.stderr.close()
    assert codes[0] == 0
    assert not verify(open_folder(tmp_path / "out")).problems
