"""Pictures that come by way of another library have the bounds of those in files: announced pixels and stored bytes."""

from pathlib import Path

import numpy as np
import pytest
from conftest import encoded, smooth_pictures
from soak.hostile_files import png
from test_sources import celeba, source

from ganforge.data import picture_file
from ganforge.data.limits import PICTURE_BYTES
from ganforge.data.pictures import BadPicture, open_picture
from ganforge.data.sources import huggingface

ROWS = smooth_pictures(4, 16)


def announcing(side: int) -> bytes:
    """A PNG of a few bytes whose header announces this number of rows and columns."""
    return png(side, side, bytes(1000))


@pytest.mark.parametrize(
    ("side", "reason"), [(20_000, "has 400 megapixels, more than"), (10_000, "10000x10000 pixels in .* a trap")]
)
def test_celeba_refuses_pixels_that_a_header_only_announces(
    side: int, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import celeba as module

    monkeypatch.setattr(module.CelebA, "_check_integrity", lambda self: True)
    celeba(tmp_path)
    (tmp_path / "celeba" / "img_align_celeba" / "000002.jpg").write_bytes(announcing(side))
    opened = source(f"torchvision:CelebA?root={tmp_path}&split=train", tmp_path)
    assert np.asarray(opened.item(0).data).shape == (218, 178, 3)
    with pytest.raises(BadPicture, match=reason):
        opened.item(1)


def test_celeba_refuses_a_file_of_more_bytes_than_a_picture_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import celeba as module

    monkeypatch.setattr(module.CelebA, "_check_integrity", lambda self: True)
    celeba(tmp_path)
    with (tmp_path / "celeba" / "img_align_celeba" / "000002.jpg").open("r+b") as file:
        file.truncate(PICTURE_BYTES + 1)
    with pytest.raises(BadPicture, match="is larger than 100 MB"):
        source(f"torchvision:CelebA?root={tmp_path}&split=train", tmp_path).item(1)


def test_lsun_refuses_pixels_that_a_header_only_announces(tmp_path: Path) -> None:
    lmdb = pytest.importorskip("lmdb")
    path = tmp_path / "bedroom_train_lmdb"
    with lmdb.open(str(path), map_size=2**24) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"0", announcing(20_000))
    opened = source(f"torchvision:LSUN?root={tmp_path}&classes=bedroom_train", tmp_path)
    with pytest.raises(BadPicture, match=r"has 400 megapixels.*--max-megapixels 400` lets it in"):
        opened.item(0)


def test_hugging_face_pictures_have_the_bounds_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    monkeypatch.setattr(huggingface, "PICTURE_BYTES", 10_000)  # so that no 100 MB are stored
    monkeypatch.setattr(picture_file, "PICTURE_BYTES", 10_000)
    folder = tmp_path / "name"
    folder.mkdir()
    (tmp_path / "large.png").write_bytes(bytes(10_001))
    features = datasets.Features({"image": datasets.Image()})
    stored = [
        {"bytes": encoded(ROWS[0]), "path": None},
        {"bytes": announcing(20_000), "path": None},
        {"bytes": bytes(10_001), "path": None},
        {"bytes": None, "path": str(tmp_path / "large.png")},
    ]
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    columns = pyarrow.table({"image": pyarrow.array(stored, kind)}, schema=features.arrow_schema)
    parquet.write_table(columns, folder / "train-00000-of-00001.parquet")
    opened = source(f"hf:{folder}?split=train", tmp_path)
    first, announced = opened.item(0).data, opened.item(1).data
    assert isinstance(first, bytes)
    assert isinstance(announced, bytes)
    assert np.array_equal(np.asarray(open_picture(first)), ROWS[0])
    with pytest.raises(BadPicture, match="has 400 megapixels"):
        open_picture(announced)
    with pytest.raises(BadPicture, match="is 10 kB large, and may have 10 kB"):
        opened.item(2)
    with pytest.raises(BadPicture, match="is larger than 10 kB"):
        opened.item(3)
