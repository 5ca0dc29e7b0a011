"""Pictures in a zip or a tar."""

import hashlib
import os
import zipfile
from pathlib import Path

from ganforge.arguments import argument
from ganforge.data.classes import folder_classes, path_parts, printable, unlabelled
from ganforge.data.header import HEADER_BYTES
from ganforge.data.limits import PICTURE_BYTES, in_bytes
from ganforge.data.pictures import ARRAY_EXTENSION, BadPicture
from ganforge.data.shards.open import picture_member
from ganforge.data.shards.tarindex import scan_tar, shown
from ganforge.data.sources.base import Item, Source
from ganforge.data.sources.scientific import is_source_name, values_or_file
from ganforge.data.sources.stylegan import find_table, most_bytes, read_labels
from ganforge.data.sources.unpack import DAMAGE, read_member, unpacked_tar
from ganforge.data.sources.zipstart import first_bytes
from ganforge.data.tarsamples import is_label, pictures_of
from ganforge.errors import DataError


class ZipSource(Source):
    """All pictures of a zip file, sorted by name.

    Labels come from StyleGAN's `dataset.json` if there is one, else from the first folders that differ.

    Args:
        path: the zip.
        labels: whether to look for labels.

    Raises:
        DataError: it is not a zip, holds no pictures or one of them twice, or its labels do not fit.
    """

    def __init__(self, path: Path, *, labels: bool = True) -> None:
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        try:
            with zipfile.ZipFile(path) as file:
                infos = sorted(file.infolist(), key=lambda info: info.filename)
                wanted = [info for info in infos if _is_wanted(info.filename)]
                members = {info.filename: info for info in wanted}
                names = list(members)
                table = find_table(names, set(file.namelist()).__contains__) if labels else ""
                text = read_member(file, table, most_bytes(len(names))) if table else None
        except BadPicture as error:
            raise DataError(f"{path}: dataset.json {error}, or pack with {argument('labels', False)}") from error
        except DAMAGE as error:
            raise DataError(f"{path}: is damaged: {error}; download it again") from error
        if not names:
            raise DataError(f"{path}: holds no pictures (jpg, png, webp, ...)")
        if len(names) < len(wanted):
            twice = next(info.filename for info in wanted if members[info.filename] is not info)
            raise DataError(f"{path}: holds {shown(twice)} twice; which is meant? zip the pictures again")
        labelling = (
            read_labels(names, table, text, str(path)) if labels else unlabelled(len(names), "no labels: not asked for")
        )
        kept = self.take(names, labelling)
        self.names = [names[place] for place in kept]
        self.labels = [labelling.numbers[place] for place in kept]
        self._members = [members[name] for name in self.names]
        described = repr([(info.filename, info.file_size, info.CRC) for info in infos])
        self.fingerprint = hashlib.sha256(described.encode("utf-8", "surrogateescape")).hexdigest()

    def __len__(self) -> int:
        return len(self.names)

    def item(self, index: int) -> Item:
        self._zip = self._zip or zipfile.ZipFile(self.path)
        return Item(
            values_or_file(read_member(self._zip, self._members[index])), self.labels[index], self.known_as(index)
        )

    def known_as(self, index: int) -> str:
        return printable(self.names[index])

    def start(self, index: int) -> bytes:
        self._zip = self._zip or zipfile.ZipFile(self.path)
        return first_bytes(self._zip, self._members[index], HEADER_BYTES)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_zip": None}


def _is_wanted(name: str) -> bool:
    """A picture by its name that neither macOS nor anybody else meant to hide."""
    if not is_source_name(name):
        return False
    is_plain = name[0] != "." and "/." not in name and "__MACOSX" not in name
    return is_plain or not any(part[0] == "." or part == "__MACOSX" for part in path_parts(name))


class TarSource(Source):
    """The pictures of an uncompressed tar without labels of its own, sorted by name; folders become classes.

    Which members belong together follows WebDataset's rule, as when the tar is trained from where it lies.

    Args:
        path: the tar.
        labels: whether to look for labels.
    """

    def __init__(self, path: Path, *, labels: bool = True) -> None:
        self.path = path
        samples, self.rules = pictures_of(scan_tar(path))
        members = sorted((sample[picture_member(sample)] for sample in samples), key=lambda member: member.name)
        if not members:
            raise DataError(f"{path}: holds no pictures (jpg, png, webp, ...)")
        names = [member.name for member in members]
        labelling = folder_classes(names) if labels else unlabelled(len(names), "no labels: not asked for")
        kept = self.take(names, labelling)
        self._places = [(members[place].offset, members[place].size) for place in kept]
        self.names = [names[place] for place in kept]
        self.labels = [labelling.numbers[place] for place in kept]
        stat = path.stat()
        described = f"{stat.st_size} {stat.st_mtime_ns} {self.names}"
        self.fingerprint = hashlib.sha256(described.encode("utf-8", "surrogateescape")).hexdigest()

    def __len__(self) -> int:
        return len(self.names)

    def item(self, index: int) -> Item:
        size = self._places[index][1]
        if size > PICTURE_BYTES:
            raise BadPicture(f"is {in_bytes(size)} large, and may have {in_bytes(PICTURE_BYTES)}; shrink it")
        return Item(values_or_file(self._read(index, size)), self.labels[index], self.known_as(index))

    def known_as(self, index: int) -> str:
        return printable(self.names[index].removeprefix("./"))

    def start(self, index: int) -> bytes:
        return self._read(index, HEADER_BYTES)

    def _read(self, index: int, most: int) -> bytes:
        offset, size = self._places[index]
        with open(self.path, "rb", buffering=0) as file:
            return os.pread(file.fileno(), min(size, most), offset)


def open_tar(path: Path, cache_dir: Path, *, labels: bool = True) -> Source:
    """A tar as WebDataset if its samples carry labels or arrays, else as an archive of pictures.

    A compressed tar has no random access, so it is unpacked once into the cache folder first.

    Args:
        path: the tar.
        cache_dir: for indexes, and for tars without their compression.
        labels: whether to look for labels.

    Raises:
        DataError: it is damaged or holds no pictures.
    """
    from ganforge.data.sources.shards import ShardsSource

    if path.suffix.lower() != ".tar":
        path = unpacked_tar(path, cache_dir)
    for sample in scan_tar(path):
        if any(is_label(member) or member.extension.lower() == ARRAY_EXTENSION for member in sample):
            return ShardsSource(str(path), cache_dir, labels=labels)
    return TarSource(path, labels=labels)
