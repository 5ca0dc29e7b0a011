"""All readers, ranks and restarts give the same batches, full ones, for ever."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from conftest import read_all, smooth_pictures

from ganforge.data.batches import prefetched
from ganforge.data.loader import Batch, Loader
from ganforge.data.readers import choose as module
from ganforge.data.shards.manifest import Manifest
from ganforge.data.shards.registered import open_folder
from ganforge.data.transform import uniform
from ganforge.errors import DataError
from ganforge.loader_options import LoaderOptions
from ganforge.registry import register

READERS = ["device", "host", "raw", "encoded"]
AUGMENTED = {"flip": True, "crop": 3, "rotate": 10.0}


def batches(folder: Path, cache: Path, count: int = 12, start: int = 0, **options: Any) -> list[Batch]:
    loader = Loader(open_folder(folder), cache_dir=cache, **{"batch_size": 48, **options})  # type: ignore[arg-type]
    loader.seek(start * loader.batch_size)
    found = [loader.next() for _ in range(count)]
    loader.close()
    return found


def assert_same(left: list[Batch], right: list[Batch]) -> None:
    for a, b in zip(left, right, strict=True):
        assert np.array_equal(a.ids, b.ids)
        assert torch.equal(a.samples, b.samples)
        assert (a.labels is None) == (b.labels is None)
        assert a.labels is None or b.labels is None or torch.equal(a.labels, b.labels)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("options", [{}, AUGMENTED, {"window": 2}], ids=["plain", "augmented", "windowed"])
def test_every_reader_gives_the_same_batches(
    reader: str, options: dict[str, Any], raw_folder: Path, tmp_path: Path
) -> None:
    assert_same(
        batches(raw_folder, tmp_path, reader=reader, workers=3, **options),
        batches(raw_folder, tmp_path, reader="raw", workers=1, **options),
    )


@pytest.mark.parametrize("reader", ["device", "host", "encoded"])
def test_every_reader_of_encoded_shards_gives_the_same_batches(reader: str, jpeg_folder: Path, tmp_path: Path) -> None:
    assert_same(
        batches(jpeg_folder, tmp_path, reader=reader, workers=3, flip=True),
        batches(jpeg_folder, tmp_path, reader="encoded", workers=1, flip=True),
    )


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("ranks", [2, 3, 8, 16])
def test_ranks_put_together_give_the_batches_of_one(reader: str, ranks: int, raw_folder: Path, tmp_path: Path) -> None:
    alone = batches(raw_folder, tmp_path, 7, reader="raw", **AUGMENTED)
    options = {"reader": reader, "world_size": ranks, "workers": 1, **AUGMENTED}
    parts = [batches(raw_folder, tmp_path, 7, rank=rank, **options) for rank in range(ranks)]
    for step, whole in enumerate(alone):
        # grid_sample picks other vector widths for other batch sizes, so turned pictures agree to the last bits.
        samples = torch.cat([part[step].samples for part in parts])
        assert torch.allclose(samples, whole.samples, atol=1e-5)
        assert np.array_equal(np.concatenate([part[step].ids for part in parts]), whole.ids)


def test_samples_and_labels_are_those_of_the_ids(raw_folder: Path, tmp_path: Path) -> None:
    rows = read_all(open_folder(raw_folder))
    for batch in batches(raw_folder, tmp_path, 3, reader="raw"):
        expected = torch.from_numpy(rows[batch.ids]).permute(0, 3, 1, 2).float() / 127.5 - 1
        assert torch.allclose(batch.samples, expected, atol=1e-6)
        assert batch.samples.dtype == torch.float32
        assert batch.samples.is_contiguous()
        assert batch.labels is not None
        assert batch.labels.tolist() == (batch.ids % 3).tolist()


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("start", [1, 5, 6, 100])
def test_resuming_gives_what_would_have_come(reader: str, start: int, raw_folder: Path, tmp_path: Path) -> None:
    options = {"reader": reader, **AUGMENTED}
    resumed = batches(raw_folder, tmp_path, 3, start=start, **options)
    assert_same(resumed, batches(raw_folder, tmp_path, start + 3, **options)[start:])


@pytest.mark.parametrize("prefetch", [1, 7])
def test_reading_ahead_never_moves_the_position(prefetch: int, raw_folder: Path, tmp_path: Path) -> None:
    loader = Loader(open_folder(raw_folder), batch_size=16, reader="raw", prefetch=prefetch, cache_dir=tmp_path)
    assert loader.position == 0
    first = [loader.next() for _ in range(4)]
    time.sleep(0.05)
    assert loader.position == 4 * 16
    loader.seek(2 * 16)
    assert loader.position == 2 * 16
    assert_same([loader.next(), loader.next()], first[2:])
    loader.close()


def test_an_epoch_smaller_than_a_batch_still_gives_full_batches(
    packed: Callable[..., tuple[Path, Manifest]], tmp_path: Path
) -> None:
    folder, _ = packed(smooth_pictures(10, 8))
    for reader in READERS:
        ids = np.concatenate([batch.ids for batch in batches(folder, tmp_path, 5, reader=reader, batch_size=64)])
        assert len(ids) == 320
        assert (np.bincount(ids) == 32).all()


def test_a_batch_that_cannot_be_divided_names_the_nearest_sizes(raw_folder: Path) -> None:
    with pytest.raises(DataError, match="50 does not divide by 3 ranks; use 48 or 51"):
        Loader(open_folder(raw_folder), batch_size=50, world_size=3)


def test_half_of_the_pictures_are_flipped_and_it_depends_on_the_position_only(raw_folder: Path, tmp_path: Path) -> None:
    plain = batches(raw_folder, tmp_path, 20, reader="raw")
    flipped = batches(raw_folder, tmp_path, 20, reader="raw", flip=True)
    is_flipped = []
    for a, b in zip(plain, flipped, strict=True):
        for x, y in zip(a.samples, b.samples, strict=True):
            assert torch.equal(x, y) or torch.equal(x.flip(-1), y)
            is_flipped.append(not torch.equal(x, y))
    assert 0.44 < np.mean(is_flipped) < 0.56
    assert np.array_equal(np.array(is_flipped), uniform(0, np.arange(len(is_flipped)), 1) < 0.5)


def test_shifts_reach_as_far_as_asked_and_no_farther(
    tmp_path: Path, packed: Callable[..., tuple[Path, Manifest]]
) -> None:
    rows = np.zeros((64, 17, 17, 1), np.uint8)
    rows[:, 8, 8] = 255
    folder, _ = packed(rows)
    seen = set()
    for batch in batches(folder, tmp_path, 20, reader="raw", crop=2):
        seen |= {tuple(place) for place in (batch.samples[:, 0] > 0.9).nonzero()[:, 1:].tolist()}
    assert seen == {(down, across) for down in range(6, 11) for across in range(6, 11)}


def test_turning_keeps_shape_on_wide_pictures(tmp_path: Path, packed: Callable[..., tuple[Path, Manifest]]) -> None:
    rows = np.zeros((32, 24, 48, 1), np.uint8)
    down, across = np.mgrid[0:24, 0:48]
    rows[:, (down - 11.5) ** 2 + (across - 23.5) ** 2 < 64] = 255
    folder, _ = packed(rows, crop="none")
    for batch in batches(folder, tmp_path, 2, batch_size=32, reader="raw", rotate=180.0):
        disc = torch.from_numpy(rows[0, :, :, 0]).float() / 127.5 - 1
        middle = (batch.samples[:, 0] - disc)[:, :, 12:36]  # beyond it, the mirrored border shows
        assert middle.abs().mean() < 0.06, "a disc turned about its centre must stay a disc"


def test_the_choice_and_its_reason_are_shown(raw_folder: Path, jpeg_folder: Path, tmp_path: Path) -> None:
    small = Loader(open_folder(raw_folder), batch_size=4, cache_dir=tmp_path)
    assert "reader 'device'" in small.describe()
    assert "0.00 GB decoded" in small.describe()
    encoded = Loader(open_folder(jpeg_folder), batch_size=4, cache_dir=tmp_path, reader="encoded")
    assert "jpeg by simplejpeg" in encoded.describe()
    assert Loader(open_folder(jpeg_folder), batch_size=4, cache_dir=tmp_path).choice.reader == "host"
    with pytest.raises(DataError, match="'raw' needs shards of raw arrays"):
        Loader(open_folder(jpeg_folder), batch_size=4, reader="raw")


def test_waiting_for_data_is_measured(raw_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = open_folder(raw_folder)
    read = dataset.read
    seconds, waits_begun = [0.0], threading.Semaphore(0)

    def clock() -> Iterator[float]:
        """Looked at when waiting begins, which lets one read begin, and when it ends."""
        while True:
            waits_begun.release()
            yield seconds[0]
            yield seconds[0]

    def slowly(ids: np.ndarray, out: np.ndarray) -> dict:
        assert waits_begun.acquire(timeout=60)
        seconds[0] += 0.1
        return read(ids, out)

    monkeypatch.setattr(dataset, "read", slowly)
    monkeypatch.setattr(prefetched, "time", SimpleNamespace(perf_counter=clock().__next__))
    loader = Loader(dataset, batch_size=8, reader="raw", workers=1, prefetch=1, cache_dir=tmp_path)
    for _ in range(3):
        loader.next()
    assert loader.wait_seconds == pytest.approx(0.3)
    assert "data.workers" in loader.remedy()
    loader.close()


def test_a_slow_step_hides_reading(raw_folder: Path, tmp_path: Path) -> None:
    others = set(threading.enumerate())
    loader = Loader(open_folder(raw_folder), batch_size=64, reader="encoded", cache_dir=tmp_path)
    loader.next()
    source = cast(prefetched.PrefetchedSource, loader.source)
    before = loader.wait_seconds
    for _ in range(5):
        deadline = time.monotonic() + 60
        while not all(part.done() for part in source._queue[0].parts):  # a step as long as that
            assert time.monotonic() < deadline, "nothing is read meanwhile"
            time.sleep(0.001)
        loader.next()
    assert loader.wait_seconds - before < 0.05
    loader.close()
    assert set(threading.enumerate()) <= others, "threads outlive the loader"


def test_closing_twice_with_batches_under_way_leaves_no_thread(raw_folder: Path, tmp_path: Path) -> None:
    others = set(threading.enumerate())
    loader = Loader(open_folder(raw_folder), batch_size=64, reader="raw", prefetch=8, cache_dir=tmp_path)
    loader.next()
    loader.close()
    loader.close()
    assert set(threading.enumerate()) <= others


@pytest.mark.parametrize("name", ["ring", "grid"])
def test_points_arrive_unchanged_with_their_modes(name: str, tmp_path: Path) -> None:
    dataset = register.dataset.get(name).factory(samples=5000)
    loader = Loader(dataset, batch_size=500, cache_dir=tmp_path)
    batch = loader.next()
    assert batch.samples.shape == (500, 2)
    assert batch.labels is not None
    centers = torch.from_numpy(dataset.centers)[batch.labels]
    distance = (batch.samples - centers).norm(dim=1)
    assert distance.max() < 5 * dataset.sigma
    assert len(dataset.centers) == {"ring": 8, "grid": 25}[name]
    with pytest.raises(DataError, match="in memory"):
        Loader(dataset, batch_size=4, reader="host", cache_dir=tmp_path)


def test_digits_are_real_and_packed_once(tmp_path: Path) -> None:
    make = register.dataset.get("digits").factory
    dataset = make(tmp_path, size=32)
    assert len(dataset) == 1797
    assert dataset.spec.shape == (1, 32, 32)
    stamp = (tmp_path / "digits-32" / "dataset.json").stat().st_mtime_ns
    again = make(tmp_path, size=32)
    assert again.digest == dataset.digest
    assert (tmp_path / "digits-32" / "dataset.json").stat().st_mtime_ns == stamp
    from sklearn import datasets

    load_digits: Any = datasets.load_digits

    assert np.array_equal(dataset.labels, load_digits().target)
    rows = read_all(dataset)[:, :, :, 0].astype(float)
    small = rows.reshape(-1, 8, 4, 8, 4).mean(axis=(2, 4)) / 255 * 16
    assert np.corrcoef(small.ravel(), load_digits().images.ravel())[0, 1] > 0.97


def test_auto_weighs_size_against_memory_and_device(
    raw_folder: Path, jpeg_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chosen(folder: Path, size: float, memory: float) -> str:
        dataset = open_folder(folder)
        monkeypatch.setattr(type(dataset), "decoded_bytes", property(lambda self: int(size)))
        monkeypatch.setattr(module, "available_memory", lambda: int(memory))
        monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=1e12))
        return module.choose(dataset, "auto", torch.device("cpu"), tmp_path).reader

    assert chosen(raw_folder, 1e6, 16e9) == "device"
    assert chosen(raw_folder, 40e9, 16e9) == "raw"
    assert chosen(jpeg_folder, 4e9, 16e9) == "host"
    assert chosen(jpeg_folder, 40e9, 16e9) == "encoded"


def test_importing_the_datasets_loads_nothing_heavy() -> None:
    code = (
        "import sys, ganforge.data.shards.registered, ganforge.data.digits, ganforge.data.synthetic\n"
        "import ganforge.loader_options\n"
        "heavy = {'torch', 'webdataset', 'cv2', 'simplejpeg', 'obstore', 'sklearn', 'accelerate'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_options_of_a_recipe_are_checked() -> None:
    assert LoaderOptions().reader == "auto"
    for bad in ({"flip": 1}, {"prefetch": 0}, {"reader": "fast"}, {"max_corrupt": 2.0}, {"crops": 1}):
        with pytest.raises(ValueError):
            LoaderOptions(**bad)  # type: ignore[arg-type]


def test_a_shift_larger_than_the_picture_is_refused(raw_folder: Path) -> None:
    with pytest.raises(DataError, match=r"data\.crop: 32 pixels"):
        Loader(open_folder(raw_folder), batch_size=4, crop=32)
