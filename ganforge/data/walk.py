"""The pictures below a folder: each real folder once, links followed, and what was passed by."""

import os
import stat
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ganforge.data.classes import printable
from ganforge.data.pictures import is_picture_name
from ganforge.errors import DataError
from ganforge.wording import counted


@dataclass
class Found:
    """What lies below a folder.

    Attributes:
        wanted: whether a file of this name is a picture.
        files: name relative to the folder, size and time of change (nanoseconds) of each picture, sorted by name;
            a link that leads nowhere has size -1.
        others: files of other kinds, by extension.
        skipped: links to folders that were read already, and what is not a plain file.
    """

    wanted: Callable[[str], bool] = is_picture_name
    files: list[tuple[str, int, int]] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    skipped: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.files]

    @property
    def notes(self) -> list[str]:
        """What was passed by, in sentences."""
        notes = []
        if self.others:
            kinds = ", ".join(f"{count:,} {kind}" for kind, count in self.others.most_common(5))
            notes.append(f"files that are no pictures were passed by: {kinds}")
        if self.skipped:
            first = printable(self.skipped[0])
            notes.append(
                f"{counted(len(self.skipped), 'link or special file was', 'links or special files were')} passed by, "
                f"such as {first}: each folder is read once"
            )
        return notes


def find_pictures(root: Path, wanted: Callable[[str], bool] = is_picture_name) -> Found:
    """All pictures below a folder by their names; hidden files and folders, and macOS's `__MACOSX`, are left alone.

    Real folders come first, then links to folders that lie elsewhere, so a link to a parent or to a neighbour
    does not bring the same pictures again.

    Args:
        root: the folder.
        wanted: whether a file of this name is a picture.

    Raises:
        DataError: there are no pictures, or a folder cannot be read.
    """
    found = Found(wanted)
    seen: set[tuple[int, int]] = set()
    links: list[str] = [""]
    while links:
        start = links.pop(0)
        if _identity(root, start) in seen:
            found.skipped.append(start)
            continue
        links += sorted(_walk(root, start, seen, found))
    found.files.sort()
    if not found.files:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in found.others.most_common(3))
        only = f", only {kinds}" if kinds else ""
        raise DataError(f"{root}: holds no pictures (jpg, png, webp, ...){only}; give the folder that has them")
    return found


def _walk(root: Path, start: str, seen: set[tuple[int, int]], found: Found) -> list[str]:
    """Look through one tree without following links; returns the links to folders."""
    links: list[str] = []
    folders = [start]
    while folders:
        inner = folders.pop()
        seen.add(_identity(root, inner))
        prefix = f"{inner}/" if inner else ""
        try:
            with os.scandir(os.path.join(root, inner)) as entries:
                for entry in entries:
                    if entry.name[0] == "." or entry.name == "__MACOSX":
                        continue
                    name = prefix + entry.name
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(name)
                    elif entry.is_symlink() and os.path.isdir(entry.path):  # False where a link leads to itself
                        links.append(name)
                    else:
                        _take(entry, name, found)
        except OSError as error:
            raise DataError(
                f"{os.path.join(root, inner)}: cannot be read: {error.strerror}; see its permissions"
            ) from error
    return links


def _take(entry: os.DirEntry[str], name: str, found: Found) -> None:
    if entry.name == "dataset.json":
        return  # looked for by whom it concerns
    if not found.wanted(entry.name):
        found.others[os.path.splitext(entry.name)[1].lower() or "without extension"] += 1
        return
    try:
        info = entry.stat()
    except OSError:
        found.files.append((name, -1, 0))  # a link that leads nowhere: reading it says so
        return
    if stat.S_ISREG(info.st_mode):
        found.files.append((name, info.st_size, info.st_mtime_ns))
    else:
        found.skipped.append(name)  # a pipe would be waited for


def _identity(root: Path, name: str) -> tuple[int, int]:
    try:
        info = os.stat(os.path.join(root, name))
    except OSError as error:
        raise DataError(f"{os.path.join(root, name)}: cannot be read: {error.strerror}; see its permissions") from error
    return info.st_dev, info.st_ino
