"""Pictures in a zip or a tar; a `dataset.json` in the zip is that of StyleGAN's dataset tool."""

import hashlib
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from ganforge.data.pictures import BadPicture, is_picture_name
from ganforge.data.sources.base import Item, Source
from ganforge.data.sources.folder import classes_of
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
                table = json.loads(file.read("dataset.json")) if "dataset.json" in file.namelist() else {}
        except (zipfile.BadZipFile, ValueError) as error:
            raise DataError(f"{path}: is damaged: {error}; download it again") from error
        if not names:
            raise DataError(f"{path}: holds no pictures (jpg, png, webp, ...)")
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
        try:
            data = self._zip.read(name)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise BadPicture(f"cannot be unpacked: {error}") from None
        return Item(data, self.labels[index], name)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_zip": None}


def _is_wanted(name: str) -> bool:
    return is_picture_name(name) and not name.rsplit("/", 1)[-1].startswith(".") and not name.startswith("__MACOSX/")


def _stylegan_labels(listed: Any, names: list[str], path: Path) -> tuple[tuple[str, ...], list[int]]:
    try:
        table = dict(listed)
        labels = [table[name] for name in names]
    except (TypeError, ValueError, KeyError) as error:
        raise DataError(f"{path}: dataset.json has no label for {error}; mend it or pack with --no-labels") from error
    if not all(type(label) is int and label >= 0 for label in labels):
        raise DataError(f"{path}: dataset.json has labels that are no class numbers; pack with --no-labels")
    return tuple(str(label) for label in range(max(labels) + 1)), labels


class TarSource(Source):
    """All pictures of an uncompressed tar that is no WebDataset, sorted by name.

    Args:
        path: the tar.
    """

    def __init__(self, path: Path) -> None:
        from ganforge.data.shards.tarindex import scan_tar

        self.path = path
        members = [m for sample in scan_tar(path) for m in sample if _is_wanted(m.name)]
        if not members:
            raise DataError(f"{path}: holds no pictures (jpg, png, webp, ...)")
        members.sort(key=lambda member: member.name)
        self._places = [(member.offset, member.size) for member in members]
        self.names = [member.name.removeprefix("./") for member in members]
        self.classes, self.labels = classes_of(self.names)
        stat = path.stat()
        self.fingerprint = hashlib.sha256(f"{stat.st_size} {stat.st_mtime_ns} {self.names}".encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.names)

    def item(self, index: int) -> Item:
        offset, size = self._places[index]
        with open(self.path, "rb") as file:
            file.seek(offset)
            return Item(file.read(size), self.labels[index], self.names[index])


def open_tar(path: Path, cache_dir: Path) -> Source:
    """A tar as WebDataset if its samples carry labels or arrays, else as an archive of pictures.

    A compressed tar has no random access, so it is unpacked once into the cache folder first.

    Raises:
        DataError: it is damaged or holds no pictures.
    """
    from ganforge.data.shards.tarindex import scan_tar
    from ganforge.data.sources.shards import ShardsSource

    if path.suffix != ".tar":
        path = _decompressed(path, cache_dir)
    for sample in scan_tar(path)[:64]:
        if any(member.extension in ("cls", "npy") or member.extension.endswith("json") for member in sample):
            return ShardsSource(str(path), cache_dir)
    return TarSource(path)


def _decompressed(path: Path, cache_dir: Path) -> Path:
    """The tar without its compression, in the cache folder."""
    import bz2
    import gzip
    import lzma
    import shutil

    from ganforge.files import replaced

    stat = path.stat()
    key = hashlib.sha256(f"{path.absolute()} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()
    target = cache_dir / "unpacked" / f"{key[:32]}.tar"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        openers = {".bz2": bz2.open, ".xz": lzma.open}
        try:
            with (
                replaced(target) as temporary,
                openers.get(path.suffix, gzip.open)(path, "rb") as packed,
                open(temporary, "wb") as plain,
            ):
                shutil.copyfileobj(packed, plain, 2**20)
        except (OSError, EOFError, lzma.LZMAError, tarfile.TarError) as error:
            raise DataError(f"{path}: cannot be uncompressed: {error}; download it again") from error
    return target
