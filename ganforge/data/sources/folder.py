"""A folder of pictures; labels by StyleGAN's `dataset.json`, else subfolders become classes."""

import hashlib
import os
from pathlib import Path

from ganforge.data.classes import printable, unlabelled
from ganforge.data.header import HEADER_BYTES
from ganforge.data.pictures import BadPicture
from ganforge.data.sources.base import Item, Source
from ganforge.data.sources.stylegan import find_table, read_labels
from ganforge.data.walk import find_pictures


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
        found = find_pictures(root)
        names = found.names
        self.rules = tuple(found.notes)
        digest = hashlib.sha256()
        for name, size, changed in found.files:
            digest.update(f"{name}\0{size}\0{changed}\n".encode("utf-8", "surrogateescape"))
        if labels:
            table = find_table(names, lambda name: (root / name).is_file())
            text = (root / table).read_bytes() if table else None
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
        try:
            with open(os.path.join(self.root, self.names[index]), "rb", buffering=0) as file:
                return Item(file.readall(), self.labels[index], self.known_as(index))
        except FileNotFoundError:
            raise BadPicture("is a link that leads nowhere, or was removed meanwhile") from None

    def known_as(self, index: int) -> str:
        return printable(self.names[index])

    def start(self, index: int) -> bytes:
        file = os.open(os.path.join(self.root, self.names[index]), os.O_RDONLY)
        try:
            return os.read(file, HEADER_BYTES)
        finally:
            os.close(file)
