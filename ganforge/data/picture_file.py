"""The bytes of a picture that lies in a folder."""

import os

from ganforge.data.header import HEADER_BYTES
from ganforge.data.limits import PICTURE_BYTES, TooLarge, read_bounded
from ganforge.data.pictures import BadPicture

# A pipe in place of a picture would be waited for without end.
_HOW = os.O_RDONLY | os.O_NONBLOCK


def read_picture_file(path: str | os.PathLike[str]) -> bytes:
    """All bytes of it.

    Raises:
        BadPicture: it is larger than a picture may be, or a link that leads nowhere.
        OSError: it cannot be read.
    """
    try:
        with open(os.open(path, _HOW), "rb", buffering=0) as file:
            return read_bounded(file, PICTURE_BYTES)
    except TooLarge as error:
        raise BadPicture(f"{error}, the most that a picture may have; shrink it") from None
    except FileNotFoundError:
        raise BadPicture("is a link that leads nowhere, or was removed meanwhile") from None


def start_of_picture_file(path: str | os.PathLike[str]) -> bytes:
    """Its first bytes, enough for nearly all headers.

    Raises:
        OSError: it cannot be read.
    """
    file = os.open(path, _HOW)
    try:
        return os.read(file, HEADER_BYTES)
    finally:
        os.close(file)
