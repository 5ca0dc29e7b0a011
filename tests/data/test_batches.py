"""What the kinds of a source of batches promise beyond what the loader's tests see through it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import read_all

from ganforge.data.batches.ahead import Ahead
from ganforge.data.batches.make import NodeRank, make_source
from ganforge.data.batches.prefetched import PrefetchedSource
from ganforge.data.batches.resident import ResidentSource
from ganforge.data.batches.source import BatchSource, RankSlice
from ganforge.data.batches.streamed import StreamedSource
from ganforge.data.dataset import ArrayDataset, Dataset
from ganforge.data.shards.registered import open_folder
from ganforge.loader_options import LoaderOptions, ReaderName
from ganforge.spec import DataSpec

CPU = torch.device("cpu")


def source_of(dataset: Dataset, name: ReaderName, cache: Path, part: RankSlice, workers: int = 2) -> BatchSource:
    options = LoaderOptions(workers=workers)
    return make_source(dataset, name, options, part, NodeRank(), seed=3, device=CPU, cache_dir=cache)


@pytest.mark.parametrize(
    ("name", "kind", "threads"),
    [
        ("device", ResidentSource, 0),
        ("host", PrefetchedSource, 2),
        ("raw", PrefetchedSource, 2),
        ("encoded", PrefetchedSource, 2),
        ("webdataset", StreamedSource, 0),
    ],
)
def test_each_reader_has_its_kind_of_source(
    name: ReaderName, kind: type[BatchSource], threads: int, raw_folder: Path, tmp_path: Path
) -> None:
    source = source_of(open_folder(raw_folder), name, tmp_path, RankSlice(16))
    assert type(source) is kind
    assert source.threads == threads
    rows, labels, ids = source.take(0)
    assert rows.dtype == torch.uint8
    assert rows.shape == (16, 32, 32, 3)
    assert labels is not None
    assert labels.dtype == torch.int64
    assert len(ids) == (0 if kind is StreamedSource else 16)
    assert source.report() == []
    assert source.wait_seconds >= 0
    source.close()
    source.close()


@pytest.mark.parametrize("name", ["device", "host", "raw", "encoded"])
def test_batches_begin_at_any_sample_and_in_any_sequence(name: ReaderName, raw_folder: Path, tmp_path: Path) -> None:
    dataset = open_folder(raw_folder)
    stored = torch.from_numpy(read_all(dataset))
    source = source_of(dataset, name, tmp_path, RankSlice(32, 1, 2))
    order = source.order  # type: ignore[attr-defined]  # of all kinds but a stream
    for position in (0, 32, 37, 5, 1000, 69, 8190, 8190 + 32, 0):
        rows, labels, ids = source.take(position)
        assert np.array_equal(ids, order.ids(position + 16, 16)), position
        assert torch.equal(rows, stored[torch.from_numpy(ids)]), position
        assert labels is not None
        assert labels.tolist() == (ids % 3).tolist()
    source.close()


@pytest.mark.parametrize("name", ["device", "host", "raw", "encoded"])
def test_writing_to_rows_changes_no_later_batch(name: ReaderName, raw_folder: Path, tmp_path: Path) -> None:
    source = source_of(open_folder(raw_folder), name, tmp_path, RankSlice(32))
    untouched = source.take(0).rows.clone()
    source.take(0).rows.zero_()
    source.take(32).rows.zero_()
    assert torch.equal(source.take(0).rows, untouched)
    source.close()


def test_points_stay_when_the_next_batch_is_taken(tmp_path: Path) -> None:
    dataset = Written(np.random.default_rng(0).random((40, 2)).astype(np.float32), DataSpec((2,)), "0" * 64)
    for name in ("device", "encoded"):
        source = source_of(dataset, name, tmp_path, RankSlice(8), workers=1)
        taken = [source.take(8 * number) for number in range(6)]
        for rows, _, ids in taken:
            assert np.array_equal(rows.numpy(), dataset.rows[ids]), name
        source.close()


class Written(ArrayDataset):
    """Points that are read a batch at a time, as a plugin's dataset may have them."""

    codec = "own"


def test_a_dataset_says_what_readers_ask_without_being_told(tmp_path: Path) -> None:
    dataset = ArrayDataset(np.zeros((4, 2), np.float32), DataSpec((2,)), "0" * 64)
    asked = (dataset.is_local, dataset.is_strided, dataset.is_streamable, dataset.image_key, dataset.fit)
    assert asked == (True, False, False, "", None)
    assert dataset.stream_urls == []


@pytest.mark.parametrize("part", [RankSlice(48), RankSlice(48, 2, 3), RankSlice(9000), RankSlice(20_000, 1, 4)])
def test_values_made_ahead_are_those_of_the_positions(part: RankSlice) -> None:
    asked: list[int] = []

    def squares(start: int, count: int) -> np.ndarray:
        asked.append(count)
        return np.stack([np.arange(start, start + count)] * 2) ** [[1], [2]]

    ahead = Ahead(squares, part, CPU)
    starts = [part.offset + step * part.batch_size for step in range(300)]
    for start in [*starts, 7, 0, 100_000_003]:
        expected = np.arange(start, start + part.count)
        assert np.array_equal(ahead(start).numpy(), np.stack([expected, expected**2])), start
    most = 8192 + part.count
    assert max(asked) <= most, "what is made ahead stays small"
    if part.batch_size == 48:
        assert len(asked) <= 6, "many batches are made at once"
