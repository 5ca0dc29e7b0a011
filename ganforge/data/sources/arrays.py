"""Pictures that come as one array: `.npy`, `.npz`, and scikit-learn's digits."""

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ganforge.data.classes import check_number, label_classes
from ganforge.data.limits import PICTURE_BYTES, in_bytes
from ganforge.data.npy import mapped
from ganforge.data.pictures import NOTHING_SAYS_ALPHA
from ganforge.data.shards.tarindex import shown
from ganforge.data.sources.base import Item, Source
from ganforge.data.sources.unpack import DAMAGE, unpacked_array
from ganforge.errors import DataError

_PICTURE_NAMES = ("images", "x", "x_train", "data", "rgba", "arr_0")
_LABEL_NAMES = ("labels", "y", "y_train", "arr_1")


class ArraySource(Source):
    """An array of pictures.

    Args:
        pictures: numbers or bool, `(N, height, width)` or `(N, height, width, channels)`; channels first is turned
            round when it is unmistakable.
        labels: integers `(N,)`, or None.
        name: for messages.
        classes: names of the classes, by default the labels' numbers.
        has_alpha: whether the fourth of four channels is opacity.
        channels: so many are wanted, whatever they are; 0 for grey, RGB or RGBA.

    Raises:
        DataError: it has another shape or type.
    """

    is_uniform = True

    def __init__(
        self,
        pictures: np.ndarray,
        labels: np.ndarray | None,
        name: str,
        classes: tuple[str, ...] = (),
        *,
        has_alpha: bool = False,
        channels: int = 0,
    ) -> None:
        usual = (channels,) if channels else (1, 3, 4)
        if pictures.ndim == 4 and pictures.shape[1] in usual and pictures.shape[3] not in usual:
            pictures = pictures.transpose(0, 2, 3, 1)
        if pictures.dtype.kind not in "buif" or pictures.ndim not in (3, 4) or not pictures.size:
            raise DataError(
                f"{name}: holds {pictures.dtype} of shape {pictures.shape}; pictures must be numbers, "
                "(N, height, width) or (N, height, width, channels)"
            )
        if pictures[0].nbytes > PICTURE_BYTES:
            raise DataError(
                f"{name}: its pictures are {in_bytes(pictures[0].nbytes)} large each, and may have "
                f"{in_bytes(PICTURE_BYTES)}; shrink them"
            )
        if pictures.ndim == 4 and pictures.shape[3] == 4 and not has_alpha and channels != 4:
            raise DataError(f"{name}: has 4 channels, and {NOTHING_SAYS_ALPHA}")
        numbers = np.full(len(pictures), -1)
        if labels is not None:
            labels = np.asarray(labels).reshape(-1)
            if len(labels) != len(pictures) or not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
                raise DataError(f"{name}: labels must be {len(pictures)} integers from 0, one a picture")
            numbers = labels
            if not classes:
                classes, numbers, rule = _numbered(labels)
                self.rules = (rule,)
        self.pictures, self.labels, self.name, self.classes = pictures, numbers, name, classes
        self.has_alpha = has_alpha
        digest = hashlib.sha256(f"{pictures.shape}{pictures.dtype}".encode())
        for picture in pictures[:: max(1, len(pictures) // 64)]:  # one by one: they may be mapped from a large file
            digest.update(np.ascontiguousarray(picture).tobytes())
        digest.update(np.ascontiguousarray(numbers, dtype=np.int64).data)
        self.fingerprint = digest.hexdigest()

    def __len__(self) -> int:
        return len(self.pictures)

    def item(self, index: int) -> Item:
        name = f"{self.name}[{index}]"
        return Item(np.asarray(self.pictures[index]), int(self.labels[index]), name, self.has_alpha)


def _numbered(labels: np.ndarray) -> tuple[tuple[str, ...], np.ndarray, str]:
    """Classes, their numbers and the rule; the rule sees each label once, however many pictures have it."""
    origin = "the labels' array"
    distinct = np.unique(labels)
    check_number(len(distinct), origin)
    found = label_classes(distinct.tolist(), origin)
    return found.classes, np.array(found.numbers)[np.searchsorted(distinct, labels)], found.rule


def open_arrays(path: Path, cache_dir: Path, *, labels: bool = True, channels: int = 0) -> Source:
    """Source of a `.npy` file, or of an `.npz` with `images` (or `x`, `rgba`) and perhaps `labels` (or `y`).

    The array `rgba` is the one whose fourth channel is opacity.

    Args:
        path: the file.
        cache_dir: where the arrays of an `.npz` are unpacked, so that they can be mapped.
        labels: whether to look for labels.
        channels: so many are wanted, see `ArraySource`.

    Raises:
        DataError: it cannot be read, or holds no such array.
    """
    if path.suffix.lower() == ".npy":
        beside = path.with_name(f"{path.stem}_labels.npy")
        return _MappedSource(path, path, beside if labels and beside.exists() else None, channels=channels)
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist()}
    except DAMAGE as error:
        raise DataError(f"{path}: cannot be read as {path.suffix}: {error}") from error
    pictures = next((name for name in _PICTURE_NAMES if name in names), None)
    if pictures is None:
        listed = ", ".join(shown(name) for name in sorted(names)[:8])
        raise DataError(f"{path}: holds {listed}; name the pictures 'images', the labels 'labels'")
    label = next((name for name in _LABEL_NAMES if name in names and labels), None)
    labels_path = None if label is None else unpacked_array(path, label, cache_dir)
    mapped_at = unpacked_array(path, pictures, cache_dir)
    return _MappedSource(path, mapped_at, labels_path, has_alpha=pictures == "rgba", channels=channels)


class _MappedSource(ArraySource):
    """Arrays in files that every worker maps for itself instead of receiving a copy.

    Args:
        path: what people know it by.
        pictures: the `.npy` of the pictures.
        labels: the `.npy` of the labels, if there is one.
        has_alpha: whether the fourth of four channels is opacity.
        channels: so many are wanted, see `ArraySource`.

    Raises:
        DataError: they cannot be read, or hold no pictures.
    """

    def __init__(
        self, path: Path, pictures: Path, labels: Path | None, *, has_alpha: bool = False, channels: int = 0
    ) -> None:
        try:
            arrays = mapped(pictures), None if labels is None else mapped(labels)
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot be read as {path.suffix}: {error}") from error
        super().__init__(*arrays, path.name, has_alpha=has_alpha, channels=channels)
        self._opened_as = path, pictures, labels, has_alpha, channels

    def __reduce__(self) -> tuple[object, ...]:
        return _mapped_again, (*self._opened_as, self.classes)


def _mapped_again(
    path: Path, pictures: Path, labels: Path | None, has_alpha: bool, channels: int, classes: tuple[str, ...]
) -> _MappedSource:
    """The same source in another process."""
    source = _MappedSource(path, pictures, labels, has_alpha=has_alpha, channels=channels)
    source.classes = classes
    return source


class DigitsSource(ArraySource):
    """scikit-learn's 1,797 handwritten digits, 8x8 pixels of 0..16, enlarged smoothly.

    Args:
        size: height and width of the result.
        part: `all`, or one of two halves that share no digit, `train` and `held_out`, or one of the first one's halves.
        limit: only the first `limit` of the part; None for all of it.
        inverted: dark on light.

    Raises:
        DataError: scikit-learn is not installed, or it has fewer pictures.
    """

    def __init__(self, size: int, part: str = "all", limit: int | None = None, *, inverted: bool = False) -> None:
        try:
            from sklearn.datasets import load_digits
        except ImportError as error:
            raise DataError("digits: scikit-learn is missing; pip install 'ganforge[demo]'") from error
        digits: Any = load_digits()
        order = np.arange(len(digits.images))
        if part != "all" or limit is not None:  # else in the order of the file, as ever
            order = np.random.RandomState(1998).permutation(order)  # a stream that NumPy keeps as it is for good
        half = (len(order) + 1) // 2
        parts = {
            "all": order,
            "train": order[:half],
            "held_out": order[half:],
            "train_first": order[: half // 2],
            "train_second": order[half // 2 : half],
        }
        order = parts[part]
        if limit is not None and limit > len(order):
            raise DataError(f"digits: limit is {limit}, and there are {len(order)} digits; lower it")
        order = order[:limit]
        pictures = np.stack([_enlarge(picture, size) for picture in digits.images[order]])
        pictures = 255 - pictures if inverted else pictures
        super().__init__(pictures, digits.target[order], "digits", tuple(str(digit) for digit in range(10)))


def _enlarge(picture: np.ndarray, size: int) -> np.ndarray:
    # In floating point, so that bicubic overshoot is clipped once at the end and not rounded twice.
    smooth = Image.fromarray(picture.astype(np.float32)).resize((size, size), Image.Resampling.BICUBIC)
    return np.rint(np.clip(np.asarray(smooth) / 16, 0, 1) * 255).astype(np.uint8)
