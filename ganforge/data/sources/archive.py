"""Pictures in a zip or a tar."""

import hashlib
import lzma
import os
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

from ganforge.data.classes import folder_classes, path_parts, printable, unlabelled
from ganforge.data.header import HEADER_BYTES
from ganforge.data.pictures import ARRAY_EXTENSION, BadPicture, is_picture_name
from ganforge.data.shards.open import picture_member
from ganforge.data.shards.tarindex import scan_tar
from ganforge.data.sources.base import Item, Source
from ganforge.data.sources.stylegan import find_table, read_labels
from ganforge.data.sources.zipstart import first_bytes
from ganforge.data.tarsamples import is_label, pictures_of
from ganforge.errors import DataError
from ganforge.wording import counted


class ZipSource(Source):
    """All pictures of a zip file, sorted by name.

    Labels come from StyleGAN's `dataset.json` if there is one, else from the first folders that differ.

    Args:
        path: the zip.
        labels: whether to look for labels.

    Raises:
        DataError: it is no zip, holds no pictures, or its labels do not fit.
    """

    def __init__(self, path: Path, *, labels: bool = True) -> None:
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        try:
            with zipfile.ZipFile(path) as file:
                infos = sorted(file.infolist(), key=lambda info: info.filename)  # stable: later ones stay later
                wanted = [info for info in infos if _is_wanted(info.filename)]
                members = {info.filename: info for info in wanted}
                names = list(members)
                table = find_table(names, lambda name: name in file.namelist()) if labels else ""
                text = file.read(table) if table else None
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, ValueError, zlib.error) as error:
            raise DataError(f"{path}: is damaged: {error}; download it again") from error
        if not names:
            raise DataError(f"{path}: holds no pictures (jpg, png, webp, ...)")
        if len(names) < len(wanted):
            twice = next(info.filename for info in wanted if members[info.filename] is not info)
            more = len(wanted) - len(names)
            self.rules = (f"{counted(more, 'name')} listed twice, such as {printable(twice)}: the last one counts",)
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
        try:
            data = self._zip.read(self._members[index])
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error, lzma.LZMAError) as error:
            raise BadPicture(f"cannot be unpacked: {error}") from None
        return Item(data, self.labels[index], self.known_as(index))

    def known_as(self, index: int) -> str:
        return printable(self.names[index])

    def start(self, index: int) -> bytes:
        self._zip = self._zip or zipfile.ZipFile(self.path)
        return first_bytes(self._zip, self._members[index], HEADER_BYTES)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_zip": None}


def _is_wanted(name: str) -> bool:
    """A picture by its name that neither macOS nor anybody else meant to hide."""
    if not is_picture_name(name):
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
        return Item(self._read(index), self.labels[index], self.known_as(index))

    def known_as(self, index: int) -> str:
        return printable(self.names[index].removeprefix("./"))

    def start(self, index: int) -> bytes:
        return self._read(index, HEADER_BYTES)

    def _read(self, index: int, most: int = sys.maxsize) -> bytes:
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
    from ganforge.data.shards.tarindex import scan_tar
    from ganforge.data.sources.shards import ShardsSource

    if path.suffix.lower() != ".tar":
        path = _decompressed(path, cache_dir)
    for sample in scan_tar(path):
        if any(is_label(member) or member.extension.lower() == ARRAY_EXTENSION for member in sample):
            return ShardsSource(str(path), cache_dir, labels=labels)
    return TarSource(path, labels=labels)


def _decompressed(path: Path, cache_dir: Path) -> Path:
    """The tar without its compression, in the cache folder."""
    import bz2
    import gzip
    import shutil

    from ganforge.files import replaced

    stat = path.stat()
    key = hashlib.sha256(f"{path.absolute()} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()
    target = cache_dir / "unpacked" / f"{key[:32]}.tar"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        openers = {".bz2": bz2.open, ".xz": lzma.open}
        opener = openers.get(path.suffix.lower(), gzip.open)
        try:
            with (
                replaced(target) as temporary,
                opener(path, "rb") as packed,
                open(temporary, "wb") as plain,
            ):
                shutil.copyfileobj(packed, plain, 2**20)
        except (OSError, EOFError, lzma.LZMAError, tarfile.TarError) as error:
            raise DataError(f"{path}: cannot be uncompressed: {error}; download it again") from error
    return target
