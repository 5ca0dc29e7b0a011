"""Pictures, packed folders and a packer for the tests of the data layer."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganforge.data.pack import pack
from ganforge.data.plan import PackOptions
from ganforge.data.shards.dataset import ShardDataset
from ganforge.data.shards.manifest import Manifest
from ganforge.data.shards.registered import open_folder
from ganforge.data.sources.arrays import ArraySource
from ganforge.data.sources.folder import FolderSource


def smooth_pictures(count: int, size: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """uint8 `(count, size, size, channels)` that are all different and compress like photographs."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (count, 6, 6, channels), dtype=np.uint8)
    rows = []
    for picture in small:
        image = Image.fromarray(picture[:, :, 0] if channels == 1 else picture)
        rows.append(np.asarray(image.resize((size, size), Image.Resampling.BICUBIC)).reshape(size, size, channels))
    return np.stack(rows)


def encoded(pixels: np.ndarray, format_name: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(buffer, format_name, **options)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def pictures() -> np.ndarray:
    return smooth_pictures(300, 32)


@pytest.fixture(scope="session")
def picture_folder(tmp_path_factory: pytest.TempPathFactory, pictures: np.ndarray) -> Path:
    """300 PNG files in three classes."""
    root = tmp_path_factory.mktemp("pictures")
    for number, picture in enumerate(pictures):
        folder = root / ("ant", "bee", "cat")[number % 3]
        folder.mkdir(exist_ok=True)
        (folder / f"{number:04d}.png").write_bytes(encoded(picture))
    return root


@pytest.fixture(scope="session")
def raw_folder(tmp_path_factory: pytest.TempPathFactory, pictures: np.ndarray) -> Path:
    """The pictures as raw shards with labels, five shards."""
    out = tmp_path_factory.mktemp("packed") / "raw"
    labels = np.arange(len(pictures)) % 3
    pack(ArraySource(pictures, labels, "test"), out, PackOptions(codec="raw", shard_bytes=300_000, workers=1))
    return out


@pytest.fixture(scope="session")
def jpeg_folder(tmp_path_factory: pytest.TempPathFactory, picture_folder: Path) -> Path:
    """The pictures as JPEG shards with labels."""
    out = tmp_path_factory.mktemp("packed") / "jpeg"
    pack(FolderSource(picture_folder), out, PackOptions(codec="jpeg", shard_bytes=200_000, workers=1))
    return out


@pytest.fixture
def opened(raw_folder: Path) -> Iterator[ShardDataset]:
    dataset = open_folder(raw_folder)
    yield dataset
    dataset.close()


@pytest.fixture
def packed(tmp_path: Path) -> Callable[..., tuple[Path, Manifest]]:
    """Pack an array of pictures into a fresh folder."""

    def make(rows: np.ndarray, labels: np.ndarray | None = None, **options: object) -> tuple[Path, Manifest]:
        out = tmp_path / "packed"
        return out, pack(ArraySource(rows, labels, "test"), out, PackOptions(**{"workers": 1, **options}))  # type: ignore[arg-type]

    return make


def read_all(dataset: ShardDataset) -> np.ndarray:
    rows = np.empty((len(dataset), *dataset.row_shape), np.uint8)
    problems = dataset.read(np.arange(len(dataset)), rows)
    assert not problems, problems
    return rows
