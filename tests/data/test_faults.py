"""Damaged data is counted and replaced within limits, or refused with shard and key."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import read_all

from ganforge.data.loader import Loader
from ganforge.data.shards.manifest import load_manifest
from ganforge.data.shards.registered import open_folder
from ganforge.data.shards.tarindex import parse_idx
from ganforge.data.verify import verify
from ganforge.errors import DataError


def copy_of(folder: Path, target: Path) -> Path:
    target.mkdir()
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def damage(folder: Path, every: int, extension: str) -> list[int]:
    """Overwrite the beginning of every so-manieth picture; returns their numbers."""
    number, damaged = 0, []
    for shard in load_manifest(folder).shards:
        samples = parse_idx((folder / shard.index_name).read_text(), "x")
        with open(folder / shard.name, "r+b") as file:
            for sample in samples:
                if number % every == every // 2:
                    file.seek(next(m.offset for m in sample if m.extension == extension))
                    file.write(b"\0" * 64)
                    damaged.append(number)
                number += 1
    return damaged


def read_batches(folder: Path, count: int, **options: Any) -> None:
    loader = Loader(open_folder(folder), **options)
    for _ in range(count):
        loader.next()


CASES = [("raw_folder", "npy", reader) for reader in ("device", "host", "raw")]
CASES += [("jpeg_folder", "jpg", reader) for reader in ("device", "host", "encoded")]


@pytest.mark.parametrize(("fixture", "extension", "reader"), CASES)
def test_two_percent_corrupt_samples_are_replaced_counted_and_named(
    fixture: str, extension: str, reader: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder = copy_of(request.getfixturevalue(fixture), tmp_path / "copy")
    rows = read_all(open_folder(folder))
    damaged = damage(folder, 50, extension)
    assert len(damaged) == 6
    loader = Loader(open_folder(folder), batch_size=50, reader=reader, max_corrupt=0.05, cache_dir=tmp_path / "cache")
    seen = []
    for _ in range(6):
        batch = loader.next()
        assert batch.samples.shape[0] == 50
        expected = torch.from_numpy(rows[batch.ids]).permute(0, 3, 1, 2).float() / 127.5 - 1
        assert torch.allclose(batch.samples, expected, atol=1e-6), "a replaced sample must be another one, whole"
        assert batch.labels is not None
        assert loader.dataset.labels is not None
        assert batch.labels.tolist() == loader.dataset.labels[batch.ids].tolist(), "labels must follow replacements"
        seen += batch.ids.tolist()
    assert not set(seen) & set(damaged)
    assert len(seen) == 300
    report = loader.unreadable()
    assert len(report) == 6
    assert all("shard-" in line and f".{extension}" in line for line in report), report
    loader.close()


@pytest.mark.parametrize("reader", ["device", "host", "encoded"])
def test_too_many_corrupt_samples_stop_the_run(reader: str, jpeg_folder: Path, tmp_path: Path) -> None:
    folder = copy_of(jpeg_folder, tmp_path / "copy")
    damage(folder, 10, "jpg")
    with pytest.raises(DataError, match=r"shard-\d+\.tar: \d+\.jpg.*unreadable samples.*max_corrupt = 0\.05.*verify"):
        read_batches(folder, 6, batch_size=50, reader=reader, max_corrupt=0.05, cache_dir=tmp_path)


def test_no_corrupt_sample_is_allowed_at_zero(jpeg_folder: Path, tmp_path: Path) -> None:
    folder = copy_of(jpeg_folder, tmp_path / "copy")
    damage(folder, 300, "jpg")
    loader = Loader(open_folder(folder), batch_size=300, max_corrupt=0.0, reader="encoded", cache_dir=tmp_path)
    with pytest.raises(DataError, match="1 unreadable samples, 0 allowed"):
        loader.next()
    loader.close()


@pytest.mark.parametrize("reader", ["device", "host", "raw", "encoded"])
@pytest.mark.parametrize("cut", [0, 1000, -1])
def test_a_truncated_shard_is_refused_by_name(reader: str, cut: int, raw_folder: Path, tmp_path: Path) -> None:
    folder = copy_of(raw_folder, tmp_path / "copy")
    shard = folder / load_manifest(folder).shards[2].name
    shard.write_bytes(shard.read_bytes()[:cut])
    with pytest.raises(DataError, match=rf"{shard.name}: has \d+ bytes, the manifest says \d+.*truncated"):
        Loader(open_folder(folder), batch_size=300, reader=reader, cache_dir=tmp_path).next()


@pytest.mark.parametrize("reader", ["device", "host", "raw", "encoded"])
def test_a_missing_shard_is_refused_by_name(reader: str, raw_folder: Path, tmp_path: Path) -> None:
    folder = copy_of(raw_folder, tmp_path / "copy")
    shard = folder / load_manifest(folder).shards[1].name
    shard.unlink()
    with pytest.raises(DataError, match=rf"{shard.name}: the shard is missing"):
        Loader(open_folder(folder), batch_size=300, reader=reader, cache_dir=tmp_path).next()


def test_a_manifest_whose_counts_lie_about_a_shard_is_refused(jpeg_folder: Path, tmp_path: Path) -> None:
    folder = copy_of(jpeg_folder, tmp_path / "copy")
    table = json.loads((folder / "dataset.json").read_text())
    table["shards"][0]["count"] -= 1
    table["shards"][1]["count"] += 1
    (folder / "dataset.json").write_text(json.dumps(table))
    with pytest.raises(DataError, match=r"shard-00000\d\.idx: (says|lists) \d+ samples, the manifest says"):
        Loader(open_folder(folder), batch_size=300, reader="encoded", cache_dir=tmp_path).next()


def test_a_raw_layout_that_lies_is_refused_or_replaced(raw_folder: Path, tmp_path: Path) -> None:
    folder = copy_of(raw_folder, tmp_path / "copy")
    table = json.loads((folder / "dataset.json").read_text())
    table["shards"][0]["stride"] *= 1000
    (folder / "dataset.json").write_text(json.dumps(table))
    with pytest.raises(DataError, match="layout does not fit"):
        Loader(open_folder(folder), batch_size=300, reader="raw", cache_dir=tmp_path).next()
    table["shards"][0]["stride"] //= 1000
    table["shards"][0]["first"] += 512
    (folder / "dataset.json").write_text(json.dumps(table))
    with pytest.raises(DataError, match=r"unreadable samples|layout does not fit"):
        Loader(open_folder(folder), batch_size=300, reader="raw", cache_dir=tmp_path).next()


def test_labels_of_another_dataset_are_refused(raw_folder: Path, tmp_path: Path) -> None:
    folder = copy_of(raw_folder, tmp_path / "copy")
    np.save(folder / "labels.npy", np.zeros(300, np.int64))
    with pytest.raises(DataError, match=r"labels\.npy: is not the file that the manifest names"):
        open_folder(folder)


def test_verify_names_every_kind_of_damage(raw_folder: Path, jpeg_folder: Path, tmp_path: Path) -> None:
    folder = copy_of(jpeg_folder, tmp_path / "copy")
    assert not verify(open_folder(folder)).problems
    damaged = damage(folder, 60, "jpg")
    problems = verify(open_folder(folder)).problems
    assert sum("sha256" in line for line in problems) >= 1
    assert sum("jpg" in line and "sha256" not in line for line in problems) == len(damaged)
    shard = folder / load_manifest(folder).shards[0].name
    shard.write_bytes(shard.read_bytes()[:4096])
    assert any(shard.name in line and "truncated" in line for line in verify(open_folder(folder)).problems)
    raw = copy_of(raw_folder, tmp_path / "raw")
    data = bytearray((raw / "shard-000000.tar").read_bytes())
    data[5000] ^= 1
    (raw / "shard-000000.tar").write_bytes(data)
    assert any("sha256" in line for line in verify(open_folder(raw)).problems), "one flipped bit must be seen"
