"""Pictures in a zip or a tar; a `dataset.json` in the zip is that of StyleGAN's dataset tool."""

import hashlib
import itertools
import zipfile
from pathlib import Path
from typing import Any

from ganforge.data.limits import PICTURE_BYTES, in_bytes, numbered_classes
from ganforge.data.pictures import BadPicture, is_picture_name
from ganforge.data.plainjson import parse_json
from ganforge.data.sources.base import Item, Source
from ganforge.data.sources.folder import classes_of
from ganforge.data.sources.unpack import DAMAGE, read_member, unpacked_tar
from ganforge.data.tarindex import scan_tar, shown
from ganforge.errors import DataError


class ZipSource(Source):
    """All pictures of a zip file, sorted by name.

    Labels come from a `dataset.json` of StyleGAN's form, `{"labels": [["00000/img00000000.png", 3], ...]}`,
    if there is one, else from the first folder in the names.

    Args:
        path: the zip.

    Raises:
        DataError: it is no zip, holds no pictures, or its labels do not fit.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        try:
            with zipfile.ZipFile(path) as file:
                infos = sorted(file.infolist(), key=lambda info: info.filename)
                names = [info.filename for info in infos if _is_wanted(info.filename)]
                table = _stylegan_table(file, len(names)) if "dataset.json" in file.namelist() else {}
        except (*DAMAGE, BadPicture) as error:
            raise DataError(f"{path}: is damaged: {error}; download it again") from error
        if not names:
            raise DataError(f"{path}: holds no pictures (jpg, png, webp, ...)")
        twice = next((name for name, following in itertools.pairwise(names) if name == following), None)
        if twice is not None:
            raise DataError(f"{path}: holds {shown(twice)} twice; which is meant? zip the pictures again")
        self.names = names
        listed = table.get("labels") if isinstance(table, dict) else None
        if listed:
            self.classes, self.labels = _stylegan_labels(listed, names, path)
        elif "dataset.json" in (info.filename for info in infos):
            self.labels = [-1] * len(names)  # StyleGAN's folders 00000/, 00001/ are no classes
        else:
            self.classes, self.labels = classes_of(names)
        text = repr([(info.filename, info.file_size, info.CRC) for info in infos])
        self.fingerprint = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()

    def __len__(self) -> int:
        return len(self.names)

    def item(self, index: int) -> Item:
        name = self.names[index]
        self._zip = self._zip or zipfile.ZipFile(self.path)
        return Item(read_member(self._zip, name), self.labels[index], name)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_zip": None}


def _is_wanted(name: str) -> bool:
    return is_picture_name(name) and not name.rsplit("/", 1)[-1].startswith(".") and not name.startswith("__MACOSX/")


def _stylegan_table(file: zipfile.ZipFile, count: int) -> Any:
    """Its size and its values are bounded by the number of pictures, each of which has a line in it."""
    text = read_member(file, "dataset.json", 1_000_000 + 4096 * count)
    try:
        return parse_json(text, 10_000 + 64 * count)
    except ValueError as error:
        raise ValueError(f"dataset.json cannot be read: {error}") from None


def _stylegan_labels(listed: Any, names: list[str], path: Path) -> tuple[tuple[str, ...], list[int]]:
    try:
        table = dict(listed)
        labels = [table[name] for name in names]
    except (TypeError, ValueError, KeyError) as error:
        raise DataError(f"{path}: dataset.json has no label for {error}; mend it or pack with --no-labels") from error
    if not all(type(label) is int and label >= 0 for label in labels):
        raise DataError(f"{path}: dataset.json has labels that are no class numbers; pack with --no-labels")
    return numbered_classes(max(labels), str(path)), labels


class TarSource(Source):
    """All pictures of an uncompressed tar that is no WebDataset, sorted by name.

    Args:
        path: the tar.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        members = [m for sample in scan_tar(path) for m in sample if _is_wanted(m.name)]
        if not members:
            raise DataError(f"{path}: holds no pictures (jpg, png, webp, ...)")
        members.sort(key=lambda member: member.name)
        self._places = [(member.offset, member.size) for member in members]
        self.names = [member.name.removeprefix("./") for member in members]
        self.classes, self.labels = classes_of(self.names)
        stat = path.stat()
        self.fingerprint = hashlib.sha256(
            f"{stat.st_size} {stat.st_mtime_ns} {self.names}".encode("utf-8", "surrogateescape")
        ).hexdigest()

    def __len__(self) -> int:
        return len(self.names)

    def item(self, index: int) -> Item:
        offset, size = self._places[index]
        if size > PICTURE_BYTES:
            raise BadPicture(f"is {in_bytes(size)} large, and may have {in_bytes(PICTURE_BYTES)}; shrink it")
        with open(self.path, "rb") as file:
            file.seek(offset)
            return Item(file.read(size), self.labels[index], self.names[index])


def open_tar(path: Path, cache_dir: Path) -> Source:
    """A tar as WebDataset if its samples carry labels or arrays, else as an archive of pictures.

    A compressed tar has no random access, so it is unpacked once into the cache folder first.

    Raises:
        DataError: it is damaged or holds no pictures.
    """
    from ganforge.data.sources.shards import ShardsSource

    if path.suffix != ".tar":
        path = unpacked_tar(path, cache_dir)
    for sample in scan_tar(path)[:64]:
        if any(member.extension in ("cls", "npy") or member.extension.endswith("json") for member in sample):
            return ShardsSource(str(path), cache_dir)
    return TarSource(path)
