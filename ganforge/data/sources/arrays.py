"""Pictures that come as one array: `.npy`, `.npz`, and scikit-learn's digits."""

import hashlib
import zipfile
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from ganforge.data.classes import label_classes
from ganforge.data.sources.base import Item, Source
from ganforge.errors import DataError

_PICTURE_NAMES = ("images", "x", "x_train", "data", "rgba", "arr_0")


class ArraySource(Source):
    """An array of pictures.

    Args:
        pictures: numbers or bool, `(N, height, width)` or `(N, height, width, channels)`; channels first is turned
            round when it is unmistakable.
        labels: integers `(N,)`, or None.
        name: for messages.
        classes: names of the classes, by default the labels' numbers.
        has_alpha: whether the fourth of four channels is opacity.

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
    ) -> None:
        if pictures.ndim == 4 and pictures.shape[1] in (1, 3, 4) and pictures.shape[3] not in (1, 3, 4):
            pictures = pictures.transpose(0, 2, 3, 1)
        if pictures.dtype.kind not in "buif" or pictures.ndim not in (3, 4) or not pictures.size:
            raise DataError(
                f"{name}: holds {pictures.dtype} of shape {pictures.shape}; pictures must be numbers, "
                "(N, height, width) or (N, height, width, channels)"
            )
        if pictures.ndim == 4 and pictures.shape[3] == 4 and not has_alpha:
            raise DataError(
                f"{name}: has 4 channels, and nothing says that the fourth is alpha; keep 3 of them, or name the array "
                "'rgba' in an .npz"
            )
        numbers = np.full(len(pictures), -1)
        if labels is not None:
            labels = np.asarray(labels).reshape(-1)
            if len(labels) != len(pictures) or not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
                raise DataError(f"{name}: labels must be {len(pictures)} integers from 0, one a picture")
            numbers = labels
            if not classes:
                found = label_classes(labels.tolist(), "the labels' array")
                classes, numbers = found.classes, np.array(found.numbers)
                self.rules = (found.rule,)
        self.pictures, self.labels, self.name, self.classes = pictures, numbers, name, classes
        self.has_alpha = has_alpha
        digest = hashlib.sha256(f"{pictures.shape}{pictures.dtype}".encode())
        digest.update(np.ascontiguousarray(pictures[:: max(1, len(pictures) // 64)]).tobytes())
        digest.update(np.ascontiguousarray(numbers, dtype=np.int64).tobytes())
        self.fingerprint = digest.hexdigest()

    def __len__(self) -> int:
        return len(self.pictures)

    def item(self, index: int) -> Item:
        name = f"{self.name}[{index}]"
        return Item(np.asarray(self.pictures[index]), int(self.labels[index]), name, self.has_alpha)


def open_arrays(path: Path, *, labels: bool = True) -> Source:
    """Source of a `.npy` file, or of an `.npz` with `images` (or `x`, `rgba`) and perhaps `labels` (or `y`).

    The array `rgba` is the one whose fourth channel is opacity.

    Args:
        path: the file.
        labels: whether to look for labels.

    Raises:
        DataError: it cannot be read, or holds no such array.
    """
    try:
        if path.suffix.lower() == ".npy":
            labels_path = path.with_name(f"{path.stem}_labels.npy")
            found = np.load(labels_path, allow_pickle=False) if labels and labels_path.exists() else None
            return _MappedSource(path, np.load(path, mmap_mode="r", allow_pickle=False), found)
        with np.load(path, allow_pickle=False) as loaded:
            names = set(loaded.files)
            pictures = next((name for name in _PICTURE_NAMES if name in names), None)
            if pictures is None:
                raise DataError(
                    f"{path}: holds {', '.join(sorted(names))}; name the pictures 'images', the labels 'labels'"
                )
            label = next((name for name in ("labels", "y", "y_train", "arr_1") if name in names and labels), None)
            found = None if label is None else loaded[label]
            return ArraySource(loaded[pictures], found, path.name, has_alpha=pictures == "rgba")
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: cannot be read as {path.suffix}: {error}") from error


class _MappedSource(ArraySource):
    """An `.npy` that every worker maps for itself instead of receiving a copy."""

    def __init__(self, path: Path, pictures: np.ndarray, labels: np.ndarray | None) -> None:
        super().__init__(pictures, labels, path.name)
        self.path, self.shape = path, self.pictures.shape

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "pictures": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        pictures = np.load(self.path, mmap_mode="r", allow_pickle=False)
        is_turned = pictures.ndim == 4 and pictures.shape != self.shape
        self.pictures = pictures.transpose(0, 2, 3, 1) if is_turned else pictures


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
