"""The loader in somebody else's training: iterated, closed by `with`, saved and resumed, its cache where it belongs."""

import itertools
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from faultyserver import FaultyServer

from ganforge.data.loader import Loader
from ganforge.data.remote import open_remote
from ganforge.data.shards.registered import open_folder
from ganforge.errors import DataError
from ganforge.recipe import resolve


def open_loader(folder: Path, **options: Any) -> Loader:
    return Loader(open_folder(folder), **{"batch_size": 48, "reader": "raw", "flip": True, **options})


def test_iterating_goes_on_for_ever_and_from_where_it_stopped(raw_folder: Path) -> None:
    with open_loader(raw_folder) as one, open_loader(raw_folder) as other:
        first = [batch.ids for batch in itertools.islice(one, 5)]
        second = [batch.ids for batch in itertools.islice(one, 10)]  # 300 samples: into the third epoch
        expected = [other.next().ids for _ in range(15)]
    assert np.array_equal(np.stack(first + second), np.stack(expected))


def test_leaving_with_ends_the_threads_after_an_error_too(raw_folder: Path) -> None:
    others = set(threading.enumerate())
    loader = open_loader(raw_folder, prefetch=4)
    with pytest.raises(ZeroDivisionError), loader:
        print(next(loader).samples.shape[0] / 0)
    assert set(threading.enumerate()) <= others


def test_a_closed_loaders_dataset_can_be_read_by_another(raw_folder: Path, tmp_path: Path) -> None:
    with FaultyServerOf(raw_folder) as url:
        dataset = open_remote(url, tmp_path)
        with Loader(dataset, batch_size=48, window=1, cache_dir=tmp_path) as loader:
            next(loader)
        with Loader(dataset, batch_size=48, window=1, cache_dir=tmp_path) as loader:  # has shards to fetch
            found = [batch.ids for batch in itertools.islice(loader, 12)]
    with open_loader(raw_folder, window=1) as local:
        expected = [batch.ids for batch in itertools.islice(local, 12)]
    assert np.array_equal(found, expected)


class FaultyServerOf:
    """A server that has no faults, for as long as a `with` block runs."""

    def __init__(self, folder: Path) -> None:
        self._server = FaultyServer(folder)

    def __enter__(self) -> str:
        return self._server.url

    def __exit__(self, *error: object) -> None:
        self._server.stop()


@pytest.mark.parametrize("reader", ["device", "host", "raw"])
@pytest.mark.parametrize("then", [16, 60, 240])
def test_another_batch_size_goes_on_at_the_same_sample(
    reader: str, then: int, raw_folder: Path, tmp_path: Path
) -> None:
    with open_loader(raw_folder, reader=reader, cache_dir=tmp_path, crop=2) as loader:
        before = [next(loader) for _ in range(3)]
        state = loader.state_dict()
        expected = [next(loader) for _ in range(10)]
    assert state == {"samples": 144}
    with open_loader(raw_folder, reader=reader, cache_dir=tmp_path, crop=2, batch_size=then) as resumed:
        resumed.load_state_dict(state)
        found = [next(resumed) for _ in range(480 // then)]
        assert resumed.state_dict() == {"samples": 624}
    assert np.array_equal(np.concatenate([b.ids for b in found]), np.concatenate([b.ids for b in expected]))
    # Flips and shifts as well belong to the sample, not to the batch.
    assert torch.equal(torch.cat([b.samples for b in found]), torch.cat([b.samples for b in expected]))
    assert len(before) == 3


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_ranks_with_another_batch_size_share_what_follows_the_same_sample(ranks: int, raw_folder: Path) -> None:
    with open_loader(raw_folder) as alone:
        alone.seek(144)
        expected = np.concatenate([next(alone).ids for _ in range(5)])
    parts = []
    for rank in range(ranks):
        with open_loader(raw_folder, batch_size=120, rank=rank, world_size=ranks, workers=1) as loader:
            loader.load_state_dict({"samples": 144})
            parts.append([next(loader).ids for _ in range(2)])
    together = np.concatenate([part[step] for step in range(2) for part in parts])
    assert np.array_equal(together, expected)


def test_the_state_of_a_loader_that_counted_batches_is_read(raw_folder: Path) -> None:
    with open_loader(raw_folder) as loader:
        loader.load_state_dict({"batches": 3, "step": 3})
        assert loader.position == 144
        loader.load_state_dict({"batches": 3, "batch_size": 16})
        assert loader.position == 48
        for nonsense in ({}, {"samples": -1}, {"samples": "3"}, {"batches": None}):
            with pytest.raises(DataError, match="names no number of samples"):
                loader.load_state_dict(nonsense)
        assert loader.position == 48, "a refused state changes nothing"


def test_the_cache_is_where_a_recipe_has_it_and_never_in_the_working_directory(
    jpeg_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    networks = {"generator": {"name": "mlp"}, "discriminator": {"name": "mlp"}}
    table = {"name": "r", "data": {"name": "digits"}, "training": {"steps": 1}, **networks}
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for named, expected in (
        (str(tmp_path / "cache"), tmp_path / "cache" / "ganforge"),
        ("", tmp_path / "home" / ".cache" / "ganforge"),  # empty counts as unset
    ):
        monkeypatch.setenv("XDG_CACHE_HOME", named)
        assert resolve(table).cache_dir == expected
        with open_loader(jpeg_folder, reader="host") as loader:
            next(loader)
        assert (expected / "decoded").is_dir()
    assert list(here.iterdir()) == []


def test_the_command_line_has_its_cache_where_a_recipe_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    code = "from ganforge.cli.data import CACHE; print(CACHE)"
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout.strip() == str(tmp_path / "ganforge")


@pytest.mark.parametrize(
    "options", [{}, {"flip": True}, {"crop": 3}, {"flip": True, "crop": 3}, {"flip": True, "crop": 3, "rotate": 9.0}]
)
def test_channels_last_is_another_layout_of_the_same_values(options: dict[str, Any], raw_folder: Path) -> None:
    plain = open_loader(raw_folder, **{"flip": False, **options})
    laid_out = open_loader(raw_folder, **{"flip": False, **options}, channels_last=True)
    with plain, laid_out:
        for _ in range(4):
            usual, last = next(plain).samples, next(laid_out).samples
            assert usual.is_contiguous()
            assert last.is_contiguous(memory_format=torch.channels_last)
            assert torch.equal(usual, last)
