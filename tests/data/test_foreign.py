"""Shards of stock webdataset, of `tar` and of other layouts train as they are."""

import io
import itertools
import json
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import encoded, read_all, smooth_pictures
from webdataset.writer import ShardWriter, TarWriter

from ganforge.data.batches.source import RankSlice
from ganforge.data.batches.streamed import StreamedSource
from ganforge.data.dataset import Dataset
from ganforge.data.loader import Loader
from ganforge.data.shards.registered import open_shards
from ganforge.errors import DataError
from ganforge.registry import register

ROWS = smooth_pictures(60, 24)


def shards(path: str, cache: Path, **options: object):
    return register.dataset.get("shards").factory(cache, path=path, **options)


def stock(folder: Path, extension: str = "png", label: str = "cls") -> Path:
    """Three shards by webdataset's own ShardWriter."""
    folder.mkdir(parents=True)
    with ShardWriter(str(folder / "%06d.tar"), maxcount=20, verbose=0) as sink:
        for number, row in enumerate(ROWS):
            sample: dict[str, object] = {"__key__": f"sample{number:04d}"}
            if extension == "npy":
                sample["npy"] = row
            else:
                format_name = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}[extension]
                sample[extension] = encoded(row, format_name, quality=95)
            if label == "cls":
                sample["cls"] = number % 3
            elif label:
                sample["json"] = {"label": f"name{number % 3}", "other": [1, 2]}
            sink.write(sample)
    return folder


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "npy"])
@pytest.mark.parametrize("label", ["cls", "json", ""])
def test_shards_of_stock_webdataset(extension: str, label: str, tmp_path: Path) -> None:
    folder = stock(tmp_path / "wds", extension, label)
    dataset = shards(str(folder), tmp_path / "cache")
    assert dataset.spec.shape == (3, 24, 24)
    assert dataset.spec.classes == {"cls": ("0", "1", "2"), "json": ("name0", "name1", "name2"), "": ()}[label]
    if label:
        assert dataset.labels.tolist() == [number % 3 for number in range(60)]
    tolerance = {"png": 0, "npy": 0, "jpg": 8, "webp": 10}[extension]
    assert np.abs(read_all(dataset).astype(int) - ROWS).mean() <= tolerance
    assert dataset.codec == ("raw" if extension == "npy" else "keep")
    loader = Loader(dataset, batch_size=16, cache_dir=tmp_path / "cache")
    assert loader.next().samples.shape == (16, 3, 24, 24)
    loader.close()


@pytest.mark.parametrize("path", ["{folder}/{{000000..000002}}.tar", "{folder}/*.tar", "file:{folder}/000000.tar"])
def test_braces_globs_and_file_urls(path: str, tmp_path: Path) -> None:
    folder = stock(tmp_path / "wds")
    dataset = shards(path.format(folder=folder), tmp_path / "cache")
    assert len(dataset) == (20 if path.startswith("file") else 60)


def test_a_folder_packed_with_tar_and_pictures_of_all_sizes(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for number, size in enumerate([40, 24, 33, 64]):
        (folder / f"my photo {number}.jpg").write_bytes(encoded(smooth_pictures(1, size)[0], "JPEG"))
    (folder / "notes.txt").write_text("hello")
    subprocess.run(["tar", "cf", str(tmp_path / "x.tar"), "--sort=name", "-C", str(tmp_path), "mine"], check=True)
    dataset = shards(str(tmp_path / "x.tar"), tmp_path / "cache", size=24)
    assert len(dataset) == 4
    assert read_all(dataset).shape == (4, 24, 24, 3)


def test_indexing_happens_once_and_again_when_a_shard_changes(tmp_path: Path) -> None:
    folder = stock(tmp_path / "wds")
    before = shards(str(folder), tmp_path / "cache")
    indexes = list((tmp_path / "cache" / "indexes").glob("*/dataset.json"))
    stamp = indexes[0].stat().st_mtime_ns
    assert shards(str(folder), tmp_path / "cache").digest == before.digest
    assert indexes[0].stat().st_mtime_ns == stamp
    (folder / "000001.tar").write_bytes((folder / "000002.tar").read_bytes())
    assert len(list((tmp_path / "cache" / "indexes").glob("*/dataset.json"))) == 1
    shards(str(folder), tmp_path / "cache")
    assert len(list((tmp_path / "cache" / "indexes").glob("*/dataset.json"))) == 2
    assert not list(folder.glob("*.idx")), "nothing may be written beside the shards of others"


def test_the_key_of_the_picture_can_be_named(tmp_path: Path) -> None:
    with TarWriter(str(tmp_path / "x.tar")) as sink:
        for number in range(4):
            small, large = encoded(ROWS[number][:8, :8]), encoded(ROWS[number])
            sink.write({"__key__": f"{number}", "lowres.png": small, "full.png": large})
    assert shards(str(tmp_path / "x.tar"), tmp_path / "c", image_key="full.png").spec.shape == (3, 24, 24)
    assert shards(str(tmp_path / "x.tar"), tmp_path / "c", image_key="lowres.png").spec.shape == (3, 8, 8)
    with pytest.raises(DataError, match=r"set data\.image_key"):
        shards(str(tmp_path / "x.tar"), tmp_path / "c", image_key="none.png")


def test_an_empty_shard_is_left_out_and_an_empty_file_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = stock(tmp_path / "wds")
    with tarfile.open(folder / "000003.tar", "w"):
        pass
    assert len(shards(str(folder), tmp_path / "cache")) == 60
    assert "000003.tar: holds no pictures" in caplog.text
    (folder / "000004.tar").write_bytes(b"")
    with pytest.raises(DataError, match=r"000004\.tar: is 0 bytes long"):
        shards(str(folder), tmp_path / "cache")


def test_a_truncated_shard_of_others_is_refused(tmp_path: Path) -> None:
    # Stock webdataset under warn_and_continue lost 40% of such a shard without a word.
    folder = stock(tmp_path / "wds")
    data = (folder / "000001.tar").read_bytes()
    (folder / "000001.tar").write_bytes(data[: len(data) * 6 // 10])
    with pytest.raises(DataError, match=r"000001\.tar: ends .*truncated"):
        shards(str(folder), tmp_path / "cache")


def test_hostile_members_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for name in ("a.png", "../../escape.png"):
            data = encoded(ROWS[0])
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    with pytest.raises(DataError, match=r"x\.tar: member '\.\./\.\./escape\.png'"):
        shards(str(tmp_path / "x.tar"), tmp_path / "cache")
    assert not list(tmp_path.parent.glob("escape*"))
    assert not list(tmp_path.rglob("escape*"))


@pytest.mark.parametrize(
    ("text", "message"),
    [("b'many'", "is not a label"), ("{broken", "is not a label")],
)
def test_labels_that_are_none_are_refused_with_shard_and_key(text: str, message: str, tmp_path: Path) -> None:
    extension = "cls" if text.startswith("b") else "json"
    with TarWriter(str(tmp_path / "x.tar")) as sink:
        sink.write({"__key__": "first", "png": encoded(ROWS[0]), extension: text.encode()})
    with pytest.raises(DataError, match=rf"x\.tar: first\.{extension}.*{message}"):
        shards(str(tmp_path / "x.tar"), tmp_path / "cache")


def test_missing_and_unknown_places_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        shards(str(tmp_path / "none"), tmp_path)
    with pytest.raises(DataError, match="nobody here can fetch 'ftp:'"):
        shards("ftp://host/x.tar", tmp_path)
    with pytest.raises(DataError, match="no file matches"):
        shards(str(tmp_path / "*.tar"), tmp_path)


def batches(dataset: object, cache: Path, count: int, start: int = 0, **options: object) -> list[torch.Tensor]:
    loader = Loader(dataset, batch_size=12, reader="webdataset", cache_dir=cache, **options)  # type: ignore[arg-type]
    loader.seek(12 * start)
    found = [loader.next().samples for _ in range(count)]
    loader.close()
    return found


def test_compressed_tars_take_the_stock_pipeline(tmp_path: Path) -> None:
    folder = stock(tmp_path / "wds")
    for path in folder.glob("*.tar"):
        subprocess.run(["gzip", str(path)], check=True)
    dataset = shards(f"{folder}/{{000000..000002}}.tar.gz", tmp_path / "cache")
    loader = Loader(dataset, batch_size=12, cache_dir=tmp_path / "cache")
    assert loader.choice.reader == "webdataset"
    assert "no index" in loader.describe()
    batch = loader.next()
    assert batch.samples.shape == (12, 3, 24, 24)
    assert batch.labels is not None
    loader.close()


def test_the_stream_never_ends_and_resumes_by_counting(tmp_path: Path) -> None:
    dataset = shards(str(stock(tmp_path / "wds")), tmp_path / "cache", stream=True)
    through = batches(dataset, tmp_path, 15)
    assert all(batch.shape[0] == 12 for batch in through)
    resumed = batches(dataset, tmp_path, 3, start=9)
    assert all(torch.equal(a, b) for a, b in zip(resumed, through[9:12], strict=True))


def streamed(dataset: Dataset, rank: int, ranks: int) -> StreamedSource:
    """Four samples a rank and batch."""
    return StreamedSource(dataset, RankSlice(4 * ranks, rank, ranks), torch.device("cpu"), seed=0, max_corrupt=0.0)


@pytest.mark.parametrize("ranks", [2, 3])
def test_the_stream_deals_the_shards_of_an_epoch_to_the_ranks(ranks: int, tmp_path: Path) -> None:
    dataset = shards(str(stock(tmp_path / "wds")), tmp_path / "cache", stream=True)
    dealt = []
    for rank in range(ranks):
        reader = streamed(dataset, rank, ranks)
        dealt += list(itertools.islice(reader._urls(), len(range(rank, 3, ranks))))
        reader.close()
    assert sorted(dealt) == sorted(dataset.stream_urls)


def test_the_stream_feeds_more_ranks_than_shards(tmp_path: Path) -> None:
    # webdataset's own splitting would give two of five ranks nothing.
    dataset = shards(str(stock(tmp_path / "wds")), tmp_path / "cache", stream=True)
    first = []
    for rank in range(5):
        reader = streamed(dataset, rank, 5)
        first.append(next(reader._decoded())[0].tobytes())
        assert len(reader.take(0)[0]) == 4
        reader.close()
    assert len(set(first)) > 1


def test_the_stream_refuses_a_truncated_shard_instead_of_losing_it(tmp_path: Path) -> None:
    folder = stock(tmp_path / "wds")
    for path in folder.glob("*.tar"):
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2 + 100])
    dataset = shards(str(folder), tmp_path / "cache", stream=True)
    with pytest.raises(DataError, match=r"\.tar: the shard broke off"):
        batches(dataset, tmp_path, 10)


def test_the_stream_skips_and_names_unreadable_samples(tmp_path: Path) -> None:
    with TarWriter(str(tmp_path / "x.tar")) as sink:
        for number, row in enumerate(ROWS):
            sink.write({"__key__": f"s{number}", "png": encoded(row) if number != 30 else b"nonsense"})
    dataset = shards(str(tmp_path / "x.tar"), tmp_path / "cache", stream=True)
    loader = Loader(dataset, batch_size=30, reader="webdataset", max_corrupt=0.1, cache_dir=tmp_path)
    for _ in range(3):
        assert loader.next().samples.shape[0] == 30
    assert any("s30" in line for line in loader.unreadable())
    loader.close()
    with pytest.raises(DataError, match="s30"):
        batches(dataset, tmp_path, 5, max_corrupt=0.0)


def test_packed_shards_can_be_streamed_too(raw_folder: Path, tmp_path: Path) -> None:
    assert len(batches(open_shards(str(raw_folder), tmp_path), tmp_path, 3)) == 3
    assert json.loads((raw_folder / "dataset.json").read_text())["codec"] == "raw"
