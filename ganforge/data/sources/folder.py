"""A folder of pictures; labels by StyleGAN's `dataset.json`, else subfolders become classes."""

import hashlib
import os
from pathlib import Path

from ganforge.data.classes import printable, unlabelled
from ganforge.data.limits import TooLarge, read_bounded
from ganforge.data.picture_file import read_picture_file, start_of_picture_file
from ganforge.data.sources.base import Item, Source
from ganforge.data.sources.scientific import is_source_name, values_or_file
from ganforge.data.sources.stylegan import WITHOUT_LABELS, find_table, most_bytes, read_labels
from ganforge.data.walk import find_pictures
from ganforge.errors import DataError


class FolderSource(Source):
    """All pictures under a folder, sorted by path.

    Args:
        root: the folder.
        labels: whether to look for labels.

    Raises:
        DataError: there is no picture in it, or it cannot be read.
    """

    def __init__(self, root: Path, *, labels: bool = True) -> None:
        self.root = root
        found = find_pictures(root, is_source_name)
        names = found.names
        self.rules = tuple(found.notes)
        digest = hashlib.sha256()
        for name, size, changed in found.files:
            digest.update(f"{name}\0{size}\0{changed}\n".encode("utf-8", "surrogateescape"))
        if labels:
            table = find_table(names, lambda name: (root / name).is_file())
            text = _read_table(root / table, most_bytes(len(names))) if table else None
            digest.update(text or b"")
            labelling = read_labels(names, table, text, str(root / table))
        else:
            labelling = unlabelled(len(names), "no labels: not asked for")
        kept = self.take(names, labelling)
        self.names = [names[place] for place in kept]
        self.labels = [labelling.numbers[place] for place in kept]
        self.fingerprint = digest.hexdigest()

    def __len__(self) -> int:
        return len(self.names)

    def item(self, index: int) -> Item:
        data = read_picture_file(os.path.join(self.root, self.names[index]))
        return Item(values_or_file(data), self.labels[index], self.known_as(index))

    def known_as(self, index: int) -> str:
        return printable(self.names[index])

    def start(self, index: int) -> bytes:
        return start_of_picture_file(os.path.join(self.root, self.names[index]))


def _read_table(path: Path, most: int) -> bytes:
    try:
        with open(path, "rb") as file:
            return read_bounded(file, most)
    except TooLarge as error:
        raise DataError(f"{path}: {error}, too much for its pictures; {WITHOUT_LABELS}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; {WITHOUT_LABELS}") from None
