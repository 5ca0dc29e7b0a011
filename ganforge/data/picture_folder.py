"""A folder of pictures as a dataset, for evaluation: nothing is packed, cropped or resized."""

import hashlib
import logging
from pathlib import Path

import numpy as np

from ganforge.data.dataset import Dataset, Unreadable
from ganforge.data.header import look
from ganforge.data.picture_file import read_picture_file
from ganforge.data.pictures import BadPicture, Fit, open_picture, to_pixels, values_in
from ganforge.data.values import ValueRange, extremes, range_of
from ganforge.data.walk import find_pictures
from ganforge.errors import DataError
from ganforge.spec import DataSpec

_log = logging.getLogger(__name__)
_PROBES = 64


class PictureFolder(Dataset):
    """All pictures below a folder, sorted by path, all of one size; RGB if any of them has colour.

    Args:
        root: the folder.

    Raises:
        DataError: it holds no pictures, or none of the first can be read.
    """

    codec = "files"

    def __init__(self, root: Path) -> None:
        found = find_pictures(root)
        self._paths = [root / name for name in found.names]
        self.root = root
        digest = hashlib.sha256()
        colour = False
        deep: list[np.ndarray] = []
        for path in self._paths:
            try:
                data = read_picture_file(path)
            except (BadPicture, OSError):
                digest.update(hashlib.sha256().digest())
                continue  # said when it is read
            digest.update(hashlib.sha256(data).digest())
            sight = look(data)
            colour = colour or (sight is not None and sight[0])
            if sight is not None and sight[1]:
                deep.append(_highest_and_lowest(data))
        self._fit = Fit(channels=3 if colour else 1, crop="none", values=self._range(deep))
        self.digest = digest.hexdigest()
        self.shard_sizes = (len(self._paths),)
        self.spec = DataSpec((self._fit.channels, *self._first_size()))

    def _range(self, deep: list[np.ndarray]) -> ValueRange | None:
        """The range of the pictures of more than 8 bits."""
        if not deep:
            return None
        values = range_of(deep)
        if values is None:
            raise DataError(
                f"{self.root}: holds pictures with values below 0, above 65,535, or not whole; "
                "`ganforge data pack --range LOW,HIGH` says what is black and white"
            )
        _log.warning("%s: more than 8 bits a channel: values %s become 0..255", self.root, values)
        return values

    def _first_size(self) -> tuple[int, int]:
        """Height and width of the first picture that can be read."""
        reason = ""
        for sample in range(min(_PROBES, len(self._paths))):
            try:
                return self._pixels(sample).shape[:2]
            except BadPicture as error:
                reason = reason or f"{self._paths[sample]}: {error}"
        raise DataError(reason)

    def read(self, ids: np.ndarray, out: np.ndarray) -> dict[int, Unreadable]:
        unreadable = {}
        for row, sample in enumerate(ids):
            try:
                pixels = self._pixels(int(sample))
            except BadPicture as error:
                unreadable[row] = Unreadable(self.key(int(sample)), str(error))
                continue
            if pixels.shape != out.shape[1:]:
                (height, width), (rows, columns) = pixels.shape[:2], out.shape[1:3]
                reason = f"is {height}x{width}, the first picture {rows}x{columns}; `ganforge data pack` makes them one"
                unreadable[row] = Unreadable(self.key(int(sample)), reason)
                continue
            out[row] = pixels
        return unreadable

    def key(self, sample: int) -> str:
        return str(self._paths[sample])

    def _pixels(self, sample: int) -> np.ndarray:
        try:
            data = read_picture_file(self._paths[sample])
        except OSError as error:
            raise BadPicture(f"cannot be read: {error.strerror or error}") from None
        return to_pixels(open_picture(data), self._fit)


def _highest_and_lowest(data: bytes) -> np.ndarray:
    """The ends of a picture's values; none if it is damaged, which is said when it is read."""
    try:
        return extremes(values_in(data))
    except BadPicture:
        return np.empty(0, np.uint16)
