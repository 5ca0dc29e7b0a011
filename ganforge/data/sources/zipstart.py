"""The first bytes of a member of a zip, for a twentieth of what opening it costs.

`zipfile` checks a member from its beginning to its end and builds a reader for it. To see whether a picture
is grey, its local header (PKWARE's APPNOTE, 4.3.7) and one step of inflating are enough.
"""

import os
import zipfile
import zlib

_LOCAL_HEADER = 30
_IS_ENCRYPTED = 1


def first_bytes(archive: zipfile.ZipFile, info: zipfile.ZipInfo, count: int) -> bytes:
    """Up to `count` bytes from a member's beginning; none if it is encrypted, damaged, or packed in a rare way."""
    file = archive.fp
    if (
        file is None
        or info.flag_bits & _IS_ENCRYPTED
        or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    ):
        return b""
    try:
        raw = os.pread(file.fileno(), _LOCAL_HEADER + len(info.filename) + count, info.header_offset)
    except (OSError, OverflowError):  # an offset that no file has
        return b""
    begin = _LOCAL_HEADER + int.from_bytes(raw[26:28], "little") + int.from_bytes(raw[28:30], "little")
    if raw[:4] != b"PK\x03\x04":
        return b""
    packed = raw[begin : begin + info.compress_size]
    if info.compress_type == zipfile.ZIP_STORED:
        return packed
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, count)
    except zlib.error:
        return b""
