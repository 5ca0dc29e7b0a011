"""What the headers of a tar announce, for tars that are read from front to back.

A compressed tar may unpack to anything, so the size of the file bounds nothing: what is announced is compared
with what a sample can have, before it is read.
"""

import tarfile

from ganforge.data.limits import PICTURE_BYTES, in_bytes
from ganforge.data.shards.tarindex import shown, split_name
from ganforge.data.tarheader import LONGEST_RECORD
from ganforge.errors import DataError

_SAMPLE_MEMBERS = 1000
_MOST_EMPTY = 10_000
_RECORD_TYPES = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


class Weight:
    """Counts what one tar announces.

    Args:
        url: of the tar, for messages.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._key, self._bytes, self._members, self._empty = "", 0, 0, 0

    def check_header(self, info: tarfile.TarInfo) -> None:
        """Called with each header as it stands, before tarfile reads the names and attributes that it announces.

        Raises:
            DataError: they are too long.
        """
        if info.size < 0 or (info.type in _RECORD_TYPES and info.size > LONGEST_RECORD):
            raise DataError(f"{self._url}: announces a name of {str(info.size)[:24]} bytes; check the source")

    def add(self, info: tarfile.TarInfo) -> None:
        """Called with each member before it is read.

        Raises:
            DataError: its sample is larger than any, or there is no end of folders and links.
        """
        if not info.isreg():
            self._empty += 1
            if self._empty > _MOST_EMPTY:
                raise DataError(f"{self._url}: holds {_MOST_EMPTY:,} folders and links in a row; check the source")
            return
        key = split_name(info.name)[0]
        if key != self._key:
            self._key, self._bytes, self._members = key, 0, 0
        self._empty = 0
        self._bytes += max(info.size, 0)
        self._members += 1
        where = f"{self._url}: {shown(info.name)}"
        if info.size < 0 or info.issparse():
            raise DataError(f"{where}: is a file with holes, as `tar --sparse` writes them; write it again")
        if self._bytes > PICTURE_BYTES or self._members > _SAMPLE_MEMBERS:
            most = f"{in_bytes(PICTURE_BYTES)} or {_SAMPLE_MEMBERS} files"
            raise DataError(f"{where}: its sample has more than {most}; check the source")
