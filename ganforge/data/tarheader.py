"""One header of a tar and the records that may stand before it; whatever breaks the format is refused.

The format is that of POSIX (pax, IEEE Std 1003.1) and of GNU tar. Where both leave a choice, it is that of
Python's `tarfile`, so that the two never see different members.
"""

import re

BLOCK = 512
LONGEST_RECORD = 2**20
"""Bytes of a long name or of pax records; names are at most 4096 bytes long, the rest is for attributes."""

REGULAR = (b"0", b"\0", b"7")
WITHOUT_BYTES = (b"1", b"2", b"3", b"4", b"5", b"6")
"""Links, devices, folders and pipes: nothing follows their header, whatever size it gives."""


class BadHeader(ValueError):
    """It breaks the format; the text says how."""


def parse_number(field: bytes) -> int:
    """A number of a header: octal digits, or base-256 as GNU tar writes what has too many of them.

    Raises:
        BadHeader: it is neither, or negative.
    """
    if field[0] & 0x80:
        if field[0] != 0x80:
            raise BadHeader("has a number that is negative or beyond all bounds")
        return int.from_bytes(field[1:], "big")
    digits = field.split(b"\0", 1)[0].strip(b" ")
    if not re.fullmatch(b"[0-7]*", digits):
        raise BadHeader(f"has {digits[:12]!r} for a number")
    return int(digits or b"0", 8)


def is_header(header: bytes) -> bool:
    """Whether its checksum is right."""
    try:
        return len(header) == BLOCK and parse_number(header[148:156]) == sum(header) - sum(header[148:156]) + 8 * 32
    except BadHeader:
        return False


def announces(header: bytes, size: int) -> bool:
    """Whether it is the header of a member of this size in bytes."""
    if header[257:262] == b"ustar" and header[124:135] == b"%011o" % size:
        return True  # what all writers of today leave, told at a tenth of what the checksum costs
    try:
        return is_header(header) and parse_number(header[124:136]) == size
    except BadHeader:
        return False


def member_name(header: bytes) -> str:
    """The name that stands in the header itself."""
    name = header[:100].split(b"\0", 1)[0]
    if header[257:262] == b"ustar" and header[257:265] != b"ustar  \0":
        prefix = header[345:500].split(b"\0", 1)[0]
        name = prefix + b"/" + name if prefix else name
    return name.decode("utf-8", "surrogateescape")


def pax_records(data: bytes) -> dict[str, str]:
    r"""The records of a pax header, `LENGTH KEYWORD=VALUE\n` each.

    Raises:
        BadHeader: a record is not as long as it says, or the file is one with holes.
    """
    fields: dict[str, str] = {}
    position = 0
    while position < len(data) and data[position] != 0:
        blank = data.find(b" ", position, position + 20)
        digits = data[position:blank] if blank >= 0 else b""
        length = int(digits) if re.fullmatch(b"[0-9]+", digits) else 0
        end = position + length
        if end <= blank + 1 or end > len(data) or data[end - 1 : end] != b"\n":
            raise BadHeader("has a pax record that is not as long as it says")
        keyword, equals, value = data[blank + 1 : end - 1].partition(b"=")
        if not equals:
            raise BadHeader("has a pax record without a value")
        fields[keyword.decode("utf-8", "surrogateescape")] = value.decode("utf-8", "surrogateescape")
        position = end
    if any(keyword.startswith("GNU.sparse.") for keyword in fields):
        raise BadHeader("is a file with holes, as `tar --sparse` writes them")
    return fields


def pax_size(fields: dict[str, str], size: int) -> int:
    """The size that the records give, else `size`.

    Raises:
        BadHeader: it is not a number.
    """
    text = fields.get("size")
    if text is None:
        return size
    if not re.fullmatch("[0-9]{1,20}", text):
        raise BadHeader(f"has {text[:12]!r} for a size")
    return int(text)
