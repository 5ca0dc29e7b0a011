"""Every kind of source gives its pictures and labels; what it cannot use, it says."""

import io
import json
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import encoded, smooth_pictures
from PIL import Image

from ganforge.data.pack import pack
from ganforge.data.plan import PackOptions
from ganforge.data.shards.dataset import ShardDataset
from ganforge.data.shards.registered import open_folder
from ganforge.data.sources.base import Source
from ganforge.data.sources.open import open_source
from ganforge.errors import DataError


def packed(source: Source, tmp_path: Path, **options: object) -> ShardDataset:
    pack(source, tmp_path / "out", PackOptions(**{"workers": 1, **options}))  # type: ignore[arg-type]
    return open_folder(tmp_path / "out")


def rows_of(dataset: ShardDataset) -> np.ndarray:
    rows = np.empty((len(dataset), *dataset.row_shape), np.uint8)
    assert not dataset.read(np.arange(len(dataset)), rows)
    return rows


def source(text: str | Path, tmp_path: Path, **options: object) -> Source:
    return open_source(str(text), size=0, cache_dir=tmp_path / "cache", **options)  # type: ignore[arg-type]


ROWS = smooth_pictures(12, 16)


def test_a_zip_with_class_folders(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        for number, row in enumerate(ROWS):
            file.writestr(f"{'dog' if number % 2 else 'cat'}/{number:02d}.png", encoded(row))
        file.writestr("__MACOSX/cat/._00.png", b"junk")
        file.writestr("readme.txt", b"hello")
    dataset = packed(source(tmp_path / "x.zip", tmp_path), tmp_path, workers=2)
    assert dataset.spec.classes == ("cat", "dog")
    assert np.array_equal(rows_of(dataset), np.concatenate([ROWS[::2], ROWS[1::2]]))


@pytest.mark.parametrize("labelled", [True, False])
def test_the_zip_of_stylegan(labelled: bool, tmp_path: Path) -> None:
    names = [f"{number // 1000:05d}/img{number:08d}.png" for number in range(12)]
    labels = [[name, number % 5] for number, name in enumerate(names)] if labelled else None
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_STORED) as file:
        for name, row in zip(names, ROWS, strict=True):
            file.writestr(name, encoded(row))
        file.writestr("dataset.json", json.dumps({"labels": labels}))
    dataset = packed(source(tmp_path / "x.zip", tmp_path), tmp_path)
    assert np.array_equal(rows_of(dataset), ROWS)
    if labelled:
        assert dataset.labels is not None
        assert dataset.labels.tolist() == [number % 5 for number in range(12)]
    else:
        assert dataset.labels is None, "the folders of StyleGAN's zip are no classes"


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.xz"])
def test_a_tar_of_pictures(suffix: str, tmp_path: Path) -> None:
    mode: Any = "w:" + suffix.rpartition(".")[2].replace("tar", "")
    with tarfile.open(tmp_path / f"x{suffix}", mode) as tar:
        for number, row in enumerate(ROWS):
            data = encoded(row)
            info = tarfile.TarInfo(f"./{'b' if number % 2 else 'a'}/my picture {number:02d}.png")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    dataset = packed(source(tmp_path / f"x{suffix}", tmp_path), tmp_path)
    assert dataset.spec.classes == ("a", "b")
    assert np.array_equal(rows_of(dataset), np.concatenate([ROWS[::2], ROWS[1::2]]))


def test_shards_are_packed_again_at_another_size(raw_folder: Path, tmp_path: Path) -> None:
    dataset = packed(source(raw_folder, tmp_path), tmp_path, size=(16, 16), workers=2)
    assert len(dataset) == 300
    assert dataset.spec.shape == (3, 16, 16)
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [number % 3 for number in range(300)]


@pytest.mark.parametrize("layout", ["nhwc", "nchw", "nhw", "npz"])
def test_arrays(layout: str, tmp_path: Path) -> None:
    labels = np.arange(12) % 4
    expected = ROWS[..., :1] if layout == "nhw" else ROWS
    if layout == "npz":
        np.savez(tmp_path / "x.npz", images=ROWS, labels=labels)
    else:
        array = {"nhwc": ROWS, "nchw": ROWS.transpose(0, 3, 1, 2), "nhw": ROWS[..., 0]}[layout]
        np.save(tmp_path / "x.npy", array)
    path = tmp_path / ("x.npz" if layout == "npz" else "x.npy")
    dataset = packed(source(path, tmp_path), tmp_path, workers=2)
    assert np.array_equal(rows_of(dataset), expected)
    assert (dataset.labels is not None) == (layout == "npz")


def test_arrays_of_floats_and_pickles_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", ROWS / 255)
    with pytest.raises(DataError, match=r"float64 .* must be uint8"):
        packed(source(tmp_path / "f.npy", tmp_path), tmp_path)
    np.save(tmp_path / "o.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="cannot be read"):
        source(tmp_path / "o.npy", tmp_path)


def idx_file(path: Path, array: np.ndarray) -> None:
    head = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(head + array.tobytes())


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST"])
def test_torchvision_mnist(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name / "raw"
    folder.mkdir(parents=True)
    digits = smooth_pictures(20, 28, 1)[..., 0]
    for split in ("train", "t10k"):
        idx_file(folder / f"{split}-images-idx3-ubyte", digits)
        idx_file(folder / f"{split}-labels-idx1-ubyte", (np.arange(20) % 10).astype(np.uint8))
    dataset = packed(source(f"torchvision:{name}?root={tmp_path}&split=train", tmp_path), tmp_path, workers=2)
    assert dataset.spec.shape == (1, 28, 28)
    assert len(dataset.spec.classes) == 10
    assert np.array_equal(rows_of(dataset)[..., 0], digits)


@pytest.mark.parametrize("name", ["CIFAR10", "CIFAR100"])
def test_torchvision_cifar(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import cifar

    monkeypatch.setattr(cifar, "check_integrity", lambda path, md5=None: Path(path).exists())
    kind = getattr(cifar, name)
    folder = tmp_path / kind.base_folder
    folder.mkdir()
    number = 10 if name == "CIFAR10" else 100
    pictures = smooth_pictures(10, 32)
    for file, _ in kind.train_list + kind.test_list:
        key = "labels" if name == "CIFAR10" else "fine_labels"
        batch = {"data": pictures.transpose(0, 3, 1, 2).reshape(10, -1), key: [n % number for n in range(10)]}
        (folder / file).write_bytes(pickle.dumps(batch))
    meta = {kind.meta["key"]: [f"class{n}" for n in range(number)]}
    (folder / kind.meta["filename"]).write_bytes(pickle.dumps(meta))
    dataset = packed(source(f"torchvision:{name}?root={tmp_path}&split=test", tmp_path), tmp_path)
    assert np.array_equal(rows_of(dataset), pictures)
    assert dataset.spec.classes[1] == "class1"


def test_torchvision_stl10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import stl10

    monkeypatch.setattr(stl10, "check_integrity", lambda path, md5=None: Path(path).exists())
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    pictures = smooth_pictures(6, 96)
    for split in ("train", "test", "unlabeled"):
        (folder / f"{split}_X.bin").write_bytes(pictures.transpose(0, 3, 2, 1).tobytes())
        if split != "unlabeled":
            (folder / f"{split}_y.bin").write_bytes(bytes(n + 1 for n in range(6)))
    (folder / "class_names.txt").write_text("\n".join(f"name{n}" for n in range(10)))
    (folder / "fold_indices.txt").write_text("0 1")
    dataset = packed(source(f"torchvision:STL10?root={tmp_path}&split=train", tmp_path), tmp_path)
    assert np.array_equal(rows_of(dataset), pictures)
    assert dataset.labels is not None
    assert dataset.labels.tolist() == list(range(6))
    unlabelled = source(f"torchvision:STL10?root={tmp_path}&split=train%2Bunlabeled", tmp_path)
    assert unlabelled.classes == ()


def celeba(root: Path, count: int = 6) -> np.ndarray:
    folder = root / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    pictures = np.zeros((count, 218, 178, 3), np.uint8)
    pictures[:, 57:185, 25:153] = 120
    names = [f"{n:06d}.jpg" for n in range(1, count + 1)]
    for name, picture in zip(names, pictures, strict=True):
        Image.fromarray(picture).save(folder / "img_align_celeba" / name, quality=95)
    (folder / "list_eval_partition.txt").write_text("".join(f"{name} 0\n" for name in names))
    (folder / "identity_CelebA.txt").write_text("".join(f"{name} 1\n" for name in names))
    (folder / "list_bbox_celeba.txt").write_text(f"{count}\nx y w h\n" + "".join(f"{n} 1 1 1 1\n" for n in names))
    (folder / "list_landmarks_align_celeba.txt").write_text(f"{count}\nx\n" + "".join(f"{n} 1\n" for n in names))
    attributes = "".join(f"{name} {'1' if n % 2 else '-1'} -1\n" for n, name in enumerate(names))
    (folder / "list_attr_celeba.txt").write_text(f"{count}\nMale Young\n" + attributes)
    return pictures


def test_torchvision_celeba_with_its_usual_crop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import celeba as module

    monkeypatch.setattr(module.CelebA, "_check_integrity", lambda self: True)
    celeba(tmp_path)
    text = f"torchvision:CelebA?root={tmp_path}&split=train"
    dataset = packed(source(text, tmp_path), tmp_path, size=(64, 64), crop="celeba")
    assert dataset.spec.shape == (3, 64, 64)
    assert dataset.labels is None
    assert abs(rows_of(dataset)[:, 2:-2, 2:-2].astype(int) - 120).max() < 4
    assert source(text + "&target=0", tmp_path).item(1).label == 1


def test_torchvision_lsun(tmp_path: Path) -> None:
    lmdb = pytest.importorskip("lmdb")
    for name in ("bedroom_train", "church_outdoor_train"):
        with (
            lmdb.open(str(tmp_path / f"{name}_lmdb"), map_size=2**24) as environment,
            environment.begin(write=True) as t,
        ):
            for number, row in enumerate(ROWS[:4]):
                t.put(f"{number:08d}".encode(), encoded(row))
    text = f"torchvision:LSUN?root={tmp_path}&classes=bedroom_train,church_outdoor_train"
    before = set(Path.cwd().iterdir())
    dataset = packed(source(text, tmp_path), tmp_path)
    assert set(Path.cwd().iterdir()) == before, "torchvision's index must not land in the working folder"
    assert len(dataset) == 8
    assert dataset.labels is not None
    assert dataset.labels.tolist() == [0] * 4 + [1] * 4


def test_torchvision_mistakes_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="ganforge knows torchvision's CIFAR10"):
        source("torchvision:ImageNet?root=x", tmp_path)
    with pytest.raises(DataError, match="say where the files are"):
        source("torchvision:MNIST", tmp_path)
    with pytest.raises(DataError, match="add download=1"):
        source(f"torchvision:MNIST?root={tmp_path}/none", tmp_path)
    with pytest.raises(DataError, match="split is 'train' or 'test'"):
        source(f"torchvision:CIFAR10?root={tmp_path}&split=val", tmp_path)


@pytest.mark.slow
def test_hugging_face_from_a_local_folder_in_its_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))
    folder = tmp_path / "owner" / "name"
    folder.mkdir(parents=True)
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["x", "y", "z"])})
    table = {"image": [{"bytes": encoded(row), "path": None} for row in ROWS], "label": [n % 3 for n in range(12)]}
    datasets.Dataset.from_dict(table, features=features).to_parquet(str(folder / "train-00000-of-00001.parquet"))
    dataset = packed(source(f"hf:{folder}?split=train", tmp_path), tmp_path)
    assert dataset.spec.classes == ("x", "y", "z")
    assert np.array_equal(rows_of(dataset), ROWS)
    with pytest.raises(DataError, match="cannot be loaded"):
        source(f"hf:{tmp_path}/none", tmp_path)


def test_labels_can_be_left_behind(picture_folder: Path, tmp_path: Path) -> None:
    dataset = packed(source(picture_folder, tmp_path, labels=False), tmp_path, limit=20)
    assert dataset.labels is None
    assert dataset.spec.classes == ()
    assert len(dataset) == 20


def test_what_is_no_source_says_what_is(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder; a source is a folder"):
        source(tmp_path / "none", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no pictures"):
        source(tmp_path / "empty", tmp_path)
    (tmp_path / "x.txt").write_text("hello")
    with pytest.raises(DataError, match="is not a zip, tar"):
        source(tmp_path / "x.txt", tmp_path)
    (tmp_path / "x.zip").write_bytes(b"PK nonsense")
    with pytest.raises(DataError, match="damaged"):
        source(tmp_path / "x.zip", tmp_path)


def test_grey_pictures_stay_grey_unless_asked(tmp_path: Path) -> None:
    folder = tmp_path / "grey"
    folder.mkdir()
    for number, row in enumerate(ROWS):
        (folder / f"{number}.png").write_bytes(encoded(row[..., :1]))
    assert packed(source(folder, tmp_path), tmp_path).spec.channels == 1
    pack(source(folder, tmp_path), tmp_path / "rgb", PackOptions(channels=3, workers=1))
    assert open_folder(tmp_path / "rgb").spec.channels == 3
