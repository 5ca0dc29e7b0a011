"""Pictures that come as one array: `.npy`, `.npz`, and scikit-learn's digits."""

import hashlib
import zipfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from ganforge.data.limits import PICTURE_BYTES, in_bytes, numbered_classes
from ganforge.data.npy import mapped
from ganforge.data.sources.base import Item, Source
from ganforge.data.sources.unpack import DAMAGE, unpacked_array
from ganforge.data.tarindex import shown
from ganforge.errors import DataError


class ArraySource(Source):
    """An array of pictures.

    Args:
        pictures: uint8 or uint16, `(N, height, width)` or `(N, height, width, channels)`; channels first is
            turned round when it is unmistakable.
        labels: integers `(N,)`, or None.
        name: for messages.
        classes: names of the classes, by default the labels' numbers.

    Raises:
        DataError: it has another shape or type.
    """

    def __init__(
        self, pictures: np.ndarray, labels: np.ndarray | None, name: str, classes: tuple[str, ...] = ()
    ) -> None:
        if pictures.ndim == 4 and pictures.shape[1] in (1, 3) and pictures.shape[3] not in (1, 3, 4):
            pictures = pictures.transpose(0, 2, 3, 1)
        if pictures.dtype not in (np.uint8, np.uint16) or pictures.ndim not in (3, 4):
            raise DataError(
                f"{name}: holds {pictures.dtype} of shape {pictures.shape}; pictures must be uint8 or uint16, "
                "(N, height, width) or (N, height, width, channels)"
            )
        if len(pictures) and pictures[0].nbytes > PICTURE_BYTES:
            raise DataError(
                f"{name}: its pictures are {in_bytes(pictures[0].nbytes)} large each, and may have "
                f"{in_bytes(PICTURE_BYTES)}; shrink them"
            )
        if labels is not None:
            labels = np.asarray(labels).reshape(-1)
            is_whole = len(labels) == len(pictures) and np.issubdtype(labels.dtype, np.integer)
            if not is_whole or (len(labels) and labels.min() < 0):
                raise DataError(f"{name}: labels must be {len(pictures)} integers from 0, one a picture")
            classes = classes or numbered_classes(int(labels.max(initial=0)), name)
        self.pictures, self.labels, self.name, self.classes = pictures, labels, name, classes
        digest = hashlib.sha256(f"{pictures.shape}{pictures.dtype}".encode())
        for picture in pictures[:: max(1, len(pictures) // 64)]:  # one by one: they may be mapped from a large file
            digest.update(np.ascontiguousarray(picture).tobytes())
        self.fingerprint = digest.hexdigest()

    def __len__(self) -> int:
        return len(self.pictures)

    def item(self, index: int) -> Item:
        label = -1 if self.labels is None else int(self.labels[index])
        return Item(np.asarray(self.pictures[index]), label, f"{self.name}[{index}]")


def open_arrays(path: Path, cache_dir: Path) -> Source:
    """Source of a `.npy` file, or of an `.npz` with `images` (or `x`) and perhaps `labels` (or `y`).

    Args:
        path: the file.
        cache_dir: where the arrays of an `.npz` are unpacked, so that they can be mapped.

    Raises:
        DataError: it cannot be read, or holds no such array.
    """
    if path.suffix == ".npy":
        labels_path = path.with_name(f"{path.stem}_labels.npy")
        return _MappedSource(path, cache_dir, path, labels_path if labels_path.exists() else None)
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist()}
    except DAMAGE as error:
        raise DataError(f"{path}: cannot be read as {path.suffix}: {error}") from error
    pictures = next((name for name in ("images", "x", "x_train", "data", "arr_0") if name in names), None)
    if pictures is None:
        listed = ", ".join(shown(name) for name in sorted(names)[:8])
        raise DataError(f"{path}: holds {listed}; name the pictures 'images', the labels 'labels'")
    labels = next((name for name in ("labels", "y", "y_train", "arr_1") if name in names), None)
    places = [None if name is None else unpacked_array(path, name, cache_dir) for name in (pictures, labels)]
    assert places[0] is not None
    return _MappedSource(path, cache_dir, places[0], places[1])


class _MappedSource(ArraySource):
    """Arrays in files that every worker maps for itself instead of receiving a copy."""

    def __init__(self, path: Path, cache_dir: Path, pictures: Path, labels: Path | None) -> None:
        try:
            arrays = mapped(pictures), None if labels is None else mapped(labels)
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot be read as {path.suffix}: {error}") from error
        super().__init__(*arrays, path.name)
        self.path, self.cache_dir = path, cache_dir

    def __reduce__(self) -> tuple[object, ...]:
        return open_arrays, (self.path, self.cache_dir)


class DigitsSource(ArraySource):
    """scikit-learn's 1,797 handwritten digits, 8x8 pixels of 0..16, enlarged smoothly.

    Args:
        size: height and width of the result.
        part: `all`, or one of two halves that share no digit, `train` and `held_out`.
        limit: only the first so many of the part; None for all of it.

    Raises:
        DataError: scikit-learn is not installed, or there are not so many.
    """

    def __init__(self, size: int, part: Literal["all", "train", "held_out"] = "all", limit: int | None = None) -> None:
        try:
            from sklearn.datasets import load_digits
        except ImportError as error:
            raise DataError("digits: scikit-learn is missing; pip install 'ganforge[demo]'") from error
        digits: Any = load_digits()
        order = np.arange(len(digits.images))
        if part != "all" or limit is not None:  # else in the order of the file, as ever
            order = np.random.RandomState(1998).permutation(order)  # a stream that NumPy keeps as it is for good
        half = (len(order) + 1) // 2
        order = {"all": order, "train": order[:half], "held_out": order[half:]}[part]
        if limit is not None and limit > len(order):
            raise DataError(f"digits: limit is {limit}, and there are {len(order)} digits; lower it")
        order = order[:limit]
        pictures = np.stack([_enlarge(picture, size) for picture in digits.images[order]])
        super().__init__(pictures, digits.target[order], "digits", tuple(str(digit) for digit in range(10)))


def _enlarge(picture: np.ndarray, size: int) -> np.ndarray:
    # In floating point, so that bicubic overshoot is clipped once at the end and not rounded twice.
    smooth = Image.fromarray(picture.astype(np.float32)).resize((size, size), Image.Resampling.BICUBIC)
    return np.rint(np.clip(np.asarray(smooth) / 16, 0, 1) * 255).astype(np.uint8)
