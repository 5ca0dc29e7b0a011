"""Where each sample's members lie in a tar, and the `.idx` text file that remembers it.

The text is that of DALI's `wds2idx` (v1.2): a header `v1.2 COUNT`, then a line a sample, for each
member `extension offset size name`, offsets being multiples of 512. Names with blanks cannot be
written in that form; such tars get v1.1, which has no names, and blanks in extensions become `%20`.
"""

import mmap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import quote, unquote

from ganforge.errors import DataError

BLOCK = 512
_REGULAR = (b"0", b"\0", b"7")


class Member(NamedTuple):
    """One file in a sample: extension (all after the first dot), offset and size of its bytes, full name."""

    extension: str
    offset: int
    size: int
    name: str


Sample = list[Member]


def split_name(name: str) -> tuple[str, str]:
    """Key and extension of a member's name, split at the first dot of its last component."""
    dot = name.find(".", name.rfind("/") + 1)
    return (name, "") if dot < 0 else (name[:dot], name[dot + 1 :])


def scan_tar(path: Path, where: str = "") -> list[Sample]:
    """Read all headers of a tar and group its regular files into samples.

    Args:
        path: an uncompressed tar.
        where: its name in messages, by default the path.

    Raises:
        DataError: it is truncated or no tar, or a member's name could lead out of a folder.
    """
    where = where or str(path)
    samples: list[Sample] = []
    last = ""
    for name, offset, size in _members(path, where):
        key, extension = split_name(name)
        if not key or key.endswith("/") or not extension:  # hidden files, such as the ._* that macOS adds; README
            continue
        if samples and key == last:
            samples[-1].append(Member(extension, offset, size, name))
        else:
            samples.append([Member(extension, offset, size, name)])
        last = key
    return samples


def _members(path: Path, where: str) -> Iterator[tuple[str, int, int]]:
    """Name, offset and size of each regular file, in order; checks structure on the way."""
    total = path.stat().st_size
    if total < 2 * BLOCK:
        raise DataError(f"{where}: is {total} bytes long, too short for a tar; fetch or write the shard again")
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        position, long_name, extended, last = 0, "", {}, "its start"
        while True:
            header = view[position : position + BLOCK]
            if len(header) < BLOCK:
                raise DataError(f"{where}: ends after {last} without the end mark of a tar; the shard is truncated")
            if header.count(0) == BLOCK:
                return
            size = _checked_size(header, where, last)
            kind = header[156:157]
            offset = position + BLOCK
            if kind == b"L":
                long_name = view[offset : offset + size].split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
            elif kind == b"x":
                extended = _pax(view[offset : offset + size])
            else:
                size = int(extended.get("size", size))
                name = extended.get("path") or long_name or _name(header)
                if offset + size > total:
                    raise DataError(f"{where}: ends inside {name}; the shard is truncated")
                if kind in _REGULAR:
                    _refuse_hostile(name, where)
                    yield name, offset, size
                long_name, extended, last = "", {}, name
            position = offset + (size + BLOCK - 1) // BLOCK * BLOCK


def _checked_size(header: bytes, where: str, last: str) -> int:
    try:
        if header[124] & 0x80:  # base-256, for members above 8 GB
            size = int.from_bytes(header[125:136], "big")
        else:
            size = int(header[124:136].strip(b" \0") or b"0", 8)
        checksum = int(header[148:156].strip(b" \0") or b"0", 8)
    except ValueError:
        checksum, size = -1, 0
    if checksum != sum(header) - sum(header[148:156]) + 8 * 32:
        raise DataError(f"{where}: the header after {last} is no tar header; is it a tar, uncompressed and whole?")
    return size


def _name(header: bytes) -> str:
    name = header[:100].split(b"\0", 1)[0]
    if header[257:262] == b"ustar" and header[257:265] != b"ustar  \0":
        prefix = header[345:500].split(b"\0", 1)[0]
        name = prefix + b"/" + name if prefix else name
    return name.decode("utf-8", "surrogateescape")


def _pax(data: bytes) -> dict[str, str]:
    fields, position = {}, 0
    while position < len(data) and data[position : position + 1] not in (b"", b"\0"):
        length = int(data[position : data.index(b" ", position)])
        keyword, _, value = data[data.index(b" ", position) + 1 : position + length - 1].partition(b"=")
        fields[keyword.decode()] = value.decode("utf-8", "surrogateescape")
        position += length
    return fields


def _refuse_hostile(name: str, where: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise DataError(f"{where}: member {name!r} would lead out of its folder; do not trust this shard")


def format_idx(samples: Iterable[Sequence[Member]]) -> str:
    """The text of an `.idx` file."""
    rows = list(samples)
    named = all(not any(char.isspace() for char in member.name) for row in rows for member in row)
    lines = [f"{'v1.2' if named else 'v1.1'} {len(rows)}"]
    for row in rows:
        fields = (f"{_without_blanks(m.extension)} {m.offset} {m.size}" + (f" {m.name}" if named else "") for m in row)
        lines.append(" ".join(fields))
    return "\n".join(lines) + "\n"


def _without_blanks(extension: str) -> str:
    """Blanks in an extension as %20, so that the line has its number of fields."""
    return "".join(quote(char) if char.isspace() or char == "%" else char for char in extension)


def parse_idx(text: str, where: str) -> list[Sample]:
    """Samples of an `.idx` text.

    Raises:
        DataError: it breaks the rules of the format.
    """
    lines = text.splitlines()
    head = lines[0].split() if lines else []
    if len(head) != 2 or head[0] not in ("v1.1", "v1.2") or not head[1].isdigit():
        raise DataError(f"{where}: does not begin with 'v1.2 COUNT'; make it again with `ganforge data index`")
    if int(head[1]) != len(lines) - 1:
        raise DataError(f"{where}: says {head[1]} samples and lists {len(lines) - 1}; make it again")
    width = 4 if head[0] == "v1.2" else 3
    samples = []
    for number, line in enumerate(lines[1:], start=2):
        fields = line.split()
        try:
            sample = [
                Member(unquote(fields[i]), int(fields[i + 1]), int(fields[i + 2]), fields[i + 3] if width == 4 else "")
                for i in range(0, len(fields), width)
            ]
            if not sample or any(member.offset % BLOCK or member.size < 0 for member in sample):
                raise ValueError
        except (ValueError, IndexError):
            raise DataError(f"{where}: line {number} is not `extension offset size name`; make it again") from None
        samples.append(sample)
    return samples
