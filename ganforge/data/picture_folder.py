"""A folder of pictures as a dataset, for evaluation: nothing is packed, cropped or resized."""

import hashlib
import os
from pathlib import Path

import numpy as np

from ganforge.data.dataset import Dataset, Unreadable
from ganforge.data.pictures import BadPicture, Fit, is_picture_name, open_picture, to_pixels
from ganforge.errors import DataError
from ganforge.spec import DataSpec


class PictureFolder(Dataset):
    """All pictures below a folder, sorted by path, all of one size; RGB if any of the first ones is.

    Args:
        root: the folder.

    Raises:
        DataError: it holds no pictures, or the first cannot be read.
    """

    codec = "files"

    def __init__(self, root: Path) -> None:
        found = (Path(folder) / name for folder, _, names in os.walk(root, followlinks=True) for name in names)
        self._paths = sorted(path for path in found if is_picture_name(path.name) and path.name[0] != ".")
        if not self._paths:
            raise DataError(f"{root}: holds no pictures (jpg, png, webp, ...); give the folder that has them")
        digest = hashlib.sha256()
        channels = 1
        for path in self._paths:
            data = path.read_bytes()
            digest.update(hashlib.sha256(data).digest())
            try:
                channels = max(channels, len(open_picture(data).getbands()))
            except BadPicture:
                continue  # said when it is read
        self._channels = 3 if channels > 1 else 1
        self.root = root
        self.digest = digest.hexdigest()
        self.shard_sizes = (len(self._paths),)
        try:
            height, width, _ = self._pixels(0).shape
        except BadPicture as error:
            raise DataError(f"{self._paths[0]}: {error}") from error
        self.spec = DataSpec((self._channels, height, width))

    def read(self, ids: np.ndarray, out: np.ndarray) -> dict[int, Unreadable]:
        unreadable = {}
        for row, sample in enumerate(ids):
            try:
                pixels = self._pixels(int(sample))
            except (BadPicture, OSError) as error:
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
        return to_pixels(open_picture(self._paths[sample].read_bytes()), Fit(channels=self._channels, crop="none"))
