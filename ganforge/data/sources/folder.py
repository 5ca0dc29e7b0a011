"""A folder of pictures; subfolders become classes."""

import hashlib
import os
from pathlib import Path

from ganforge.data.limits import PICTURE_BYTES, TooLarge, read_bounded
from ganforge.data.pictures import BadPicture, is_picture_name
from ganforge.data.sources.base import Item, Source
from ganforge.errors import DataError


def classes_of(names: list[str]) -> tuple[tuple[str, ...], list[int]]:
    """Classes and labels from paths with `/`: the first folder is the class, if every path has one."""
    tops = [name.split("/", 1)[0] if "/" in name else "" for name in names]
    if "" in tops or len(set(tops)) < 2:
        return (), [-1] * len(names)
    classes = tuple(sorted(set(tops)))
    number = {name: label for label, name in enumerate(classes)}
    return classes, [number[top] for top in tops]


class FolderSource(Source):
    """All pictures under a folder, sorted by path.

    Args:
        root: the folder.

    Raises:
        DataError: there is no picture in it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.names: list[str] = []
        digest = hashlib.sha256()
        for folder, subfolders, files in os.walk(root, followlinks=True):
            subfolders[:] = [name for name in subfolders if not name.startswith(".")]
            place = Path(folder).relative_to(root)
            self.names += [(place / name).as_posix() for name in files if is_picture_name(name) and name[0] != "."]
        self.names.sort()
        if not self.names:
            raise DataError(f"{root}: holds no pictures (jpg, png, webp, ...); give the folder that has them")
        for name in self.names:
            stat = (root / name).stat()
            digest.update(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
        self.classes, self.labels = classes_of(self.names)
        self.fingerprint = digest.hexdigest()

    def __len__(self) -> int:
        return len(self.names)

    def item(self, index: int) -> Item:
        name = self.names[index]
        try:
            # A pipe in place of a picture would be waited for without end.
            descriptor = os.open(self.root / name, os.O_RDONLY | os.O_NONBLOCK)
            with open(descriptor, "rb") as file:
                data = read_bounded(file, PICTURE_BYTES)
        except TooLarge as error:
            raise BadPicture(f"{error}, the most that a picture may have; shrink it") from None
        return Item(data, self.labels[index], name)
