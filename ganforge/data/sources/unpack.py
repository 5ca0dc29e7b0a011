"""Members of archives and compressed tars, unpacked no further than they may go.

A kilobyte can unpack to a megabyte (deflate) or to many gigabytes (bzip2, xz). A picture is never larger than
`PICTURE_BYTES`; what goes to the disk is at most `_RATIO` times as large as its source, and fits the disk.
"""

import hashlib
import lzma
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from ganforge.data.decompress import decompressed
from ganforge.data.leftovers import remove_abandoned, remove_temporaries
from ganforge.data.limits import PICTURE_BYTES, TooLarge, in_bytes, read_bounded
from ganforge.data.pictures import BadPicture
from ganforge.errors import DataError
from ganforge.files import replaced

_PIECE = 2**20
_RATIO = 100
"""Pictures hardly compress at all; tars of small arrays with their headers and zeros shrink to a twentieth."""
_ALWAYS_BYTES = 64_000_000

DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,  # a method of compression that this Python lacks
    RuntimeError,  # a password is needed
    OSError,
    ValueError,
    OverflowError,  # an offset beyond all files
    MemoryError,  # a window of gigabytes is asked for
)
"""What reading a damaged archive raises."""


def read_member(archive: zipfile.ZipFile, member: str | zipfile.ZipInfo, most: int = PICTURE_BYTES) -> bytes:
    """A member of a zip.

    Args:
        archive: open for reading.
        member: which.
        most: bytes that it may have.

    Raises:
        BadPicture: it is damaged, encrypted, or larger, whatever its header says.
    """
    info = archive.getinfo(member) if isinstance(member, str) else member
    try:
        if info.file_size > most:
            raise TooLarge(f"is {in_bytes(info.file_size)} large, and may have {in_bytes(most)}; shrink it")
        with archive.open(info) as file:
            return read_bounded(file, most)
    except TooLarge as error:
        raise BadPicture(str(error)) from None
    except DAMAGE as error:
        raise BadPicture(f"cannot be unpacked: {str(error) or type(error).__name__}") from None


def unpacked_tar(path: Path, cache_dir: Path) -> Path:
    """A compressed tar without its compression, in the cache folder.

    Raises:
        DataError: it is damaged, or unpacks to more than a tar of pictures does.
    """
    target = _place(path, "", cache_dir, ".tar")

    @contextmanager
    def plain() -> Iterator[Any]:
        with open(path, "rb") as file:
            yield decompressed(file)

    _unpack(path, target, plain, path.stat().st_size)
    return target


def unpacked_array(path: Path, name: str, cache_dir: Path) -> Path:
    """The array `name` of an `.npz` as an `.npy` in the cache folder, to be mapped.

    Raises:
        DataError: it is damaged, or unpacks to more than pictures do.
    """
    target = _place(path, name, cache_dir, ".npy")

    @contextmanager
    def member() -> Iterator[Any]:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
            yield file

    _unpack(path, target, member, path.stat().st_size)
    return target


def _place(path: Path, name: str, cache_dir: Path, suffix: str) -> Path:
    stat = path.stat()
    key = hashlib.sha256(
        f"{path.absolute()} {stat.st_size} {stat.st_mtime_ns}{name}".encode("utf-8", "surrogateescape")
    )
    return cache_dir / "unpacked" / f"{key.hexdigest()[:32]}{suffix}"


def _unpack(path: Path, target: Path, opened: Any, packed_bytes: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(target.with_suffix(".lock")):
        if target.exists():
            return
        remove_temporaries(target)
        remove_abandoned(target.parent)
        most = max(_ALWAYS_BYTES, _RATIO * packed_bytes)
        room = shutil.disk_usage(target.parent).free
        try:
            with replaced(target) as temporary, opened() as packed, open(temporary, "wb") as plain:
                while piece := packed.read(_PIECE):
                    plain.write(piece)
                    if plain.tell() > min(most, room):
                        raise TooLarge
        except TooLarge:
            too_large = f"{path}: its {in_bytes(packed_bytes)} unpack to more than {in_bytes(min(most, room))}"
            if room < most:
                raise DataError(f"{too_large}, all that is free in {target.parent}; free space there") from None
            raise DataError(f"{too_large}, as a trap does; if you trust it, unpack it and give the folder") from None
        except (*DAMAGE, KeyError) as error:
            reason = str(error) or type(error).__name__
            raise DataError(f"{path}: cannot be unpacked: {reason}; download it again") from error
