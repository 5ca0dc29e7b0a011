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

from ganforge.data.limits import TooLarge, read_bounded
from ganforge.data.tarheader import (
    BLOCK,
    LONGEST_RECORD,
    REGULAR,
    WITHOUT_BYTES,
    BadHeader,
    is_header,
    member_name,
    parse_number,
    pax_records,
    pax_size,
)
from ganforge.errors import DataError
from ganforge.files import replaced

_ALL_BLANKS = tuple(char for char in map(chr, range(0x3001)) if char.isspace())
_BLANKS = tuple(char for char in _ALL_BLANKS if char.isascii())
_RECORDS = (b"L", b"K", b"x", b"X", b"g")


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
    last, extensions = "", set()
    for name, offset, size in _members(path, where):
        key, extension = split_name(name)
        if not key or key.endswith("/") or not extension:  # hidden files, such as the ._* that macOS adds; README
            continue
        if samples and key == last:
            if extension in extensions:
                raise DataError(f"{where}: holds {shown(name)} twice; which is meant? write the shard again")
            samples[-1].append(Member(extension, offset, size, name))
        else:
            samples.append([Member(extension, offset, size, name)])
            extensions.clear()
        extensions.add(extension)
        last = key
    return samples


def _members(path: Path, where: str) -> Iterator[tuple[str, int, int]]:
    """Name, offset and size of each regular file, in order; checks structure on the way."""
    try:
        total = path.stat().st_size
        if total < 2 * BLOCK:
            raise DataError(f"{where}: is {total} bytes long, too short for a tar; fetch or write the shard again")
        with open(path, "rb") as file, mmap.mmap(file.fileno(), total, access=mmap.ACCESS_READ) as view:
            yield from _walk(view, total, where)
    except (OSError, ValueError) as error:
        raise DataError(f"{where}: cannot be read: {getattr(error, 'strerror', '') or error}") from error


def _walk(view: mmap.mmap, total: int, where: str) -> Iterator[tuple[str, int, int]]:
    position, long_name, extended, last = 0, "", {}, "its start"
    while True:
        header = view[position : position + BLOCK]
        if len(header) < BLOCK:
            raise DataError(f"{where}: ends after {last} without the end mark of a tar; the shard is truncated")
        if header.count(0) == BLOCK:
            return
        if not is_header(header):
            raise DataError(f"{where}: no tar header follows {last}; is it a tar, uncompressed and whole?")
        kind, offset = header[156:157], position + BLOCK
        name = extended.get("path") or long_name or member_name(header)
        try:
            size = parse_number(header[124:136])
            if kind in _RECORDS:
                if size > LONGEST_RECORD:
                    raise BadHeader(f"announces {size} bytes of name or attributes")
                if offset + size > total:
                    raise DataError(f"{where}: ends inside the header after {last}; the shard is truncated")
                if kind == b"L":
                    long_name = view[offset : offset + size].split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
                elif kind == b"g":
                    _check_global(pax_records(view[offset : offset + size]))
                elif kind != b"K":
                    extended = pax_records(view[offset : offset + size])
            else:
                size = 0 if kind in WITHOUT_BYTES else pax_size(extended, size)
                if kind == b"S":
                    raise BadHeader("is a file with holes, as `tar --sparse` writes them")
                if offset + size > total:
                    raise DataError(f"{where}: ends inside {shown(name)}; the shard is truncated")
                if kind in REGULAR:
                    _refuse_hostile(name, where)
                    yield name, offset, size
                long_name, extended, last = "", {}, shown(name)
        except BadHeader as error:
            raise DataError(f"{where}: member {shown(name)} {error}; write or fetch the shard again") from None
        position = offset + (size + BLOCK - 1) // BLOCK * BLOCK


def _check_global(records: dict[str, str]) -> None:
    """Records for all members that follow may say who wrote the tar, not what its members are."""
    if records.keys() & {"path", "size", "linkpath"}:
        raise BadHeader("has a global header that renames all members")


def shown(name: str) -> str:
    """A member's name for a message of one line."""
    plain = "".join(char if char.isprintable() else "?" for char in name)
    return plain if len(plain) <= 80 else f"{plain[:60]}...{plain[-17:]}"


def _refuse_hostile(name: str, where: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise DataError(f"{where}: member {shown(name)!r} would lead out of its folder; do not trust this shard")


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


def write_idx(path: Path, samples: Iterable[Sequence[Member]]) -> None:
    """Write an `.idx` file in one piece; names that are not UTF-8 keep their bytes."""
    with replaced(path) as temporary:
        temporary.write_bytes(format_idx(samples).encode("utf-8", "surrogateescape"))


def read_idx(path: Path, tar_bytes: int) -> str:
    """The text of an `.idx` file.

    Args:
        path: of the file.
        tar_bytes: size of its tar. A member takes at least a block there, so it bounds how much there is to list.

    Raises:
        DataError: it cannot be read, or lists more than its tar can hold.
    """
    try:
        with open(path, "rb") as file:
            text = read_bounded(file, 64 + 2 * tar_bytes).decode("utf-8", "surrogateescape")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; `ganforge data index` makes it") from error
    except TooLarge:
        text = ""
    fields = 1 + sum(text.count(blank) for blank in (_BLANKS if text.isascii() else _ALL_BLANKS))
    if not text or fields > 4 * (tar_bytes // BLOCK) + 8:
        raise DataError(f"{path}: cannot be the index of a tar of {tar_bytes} bytes; make it again")
    return text


def parse_idx(text: str, where: str, tar_bytes: int = 2**62) -> list[Sample]:
    """Samples of an `.idx` text.

    Args:
        text: all of it.
        where: file, for messages.
        tar_bytes: size of the tar; no member lies beyond.

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
            if not sample or any(
                m.offset % BLOCK or not BLOCK <= m.offset <= tar_bytes or not 0 <= m.size <= tar_bytes - m.offset
                for m in sample
            ):
                raise ValueError
        except (ValueError, IndexError):
            raise DataError(f"{where}: line {number} is not `extension offset size name`; make it again") from None
        samples.append(sample)
    return samples
