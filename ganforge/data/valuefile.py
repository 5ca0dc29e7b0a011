"""Values of a sample in a file that keeps all of them: PNG of 8 or 16 bits, TIFF, or an array."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

_PNG = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""Of PNG: grey, grey and alpha, RGB, RGBA."""


def value_file(values: np.ndarray, *, has_alpha: bool) -> tuple[str, bytes]:
    """Extension and bytes of a sample, `(height, width, channels)` of uint8, uint16 or float32.

    PNG for grey, RGB and RGBA of whole numbers, TIFF for grey of floating point, and `.npy` for all that these have
    no form for, such as channels that are no colours.
    """
    channels = values.shape[2]
    if values.dtype.kind == "u" and (channels in (1, 3) or (channels == 4 and has_alpha)):
        return "png", png16(values) if values.dtype == np.uint16 else _saved(values, "PNG")
    if values.dtype == np.float32 and channels == 1:
        return "tiff", _saved(values, "TIFF")
    buffer = io.BytesIO()
    np.save(buffer, values)
    return "npy", buffer.getvalue()


def _saved(values: np.ndarray, form: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(values[:, :, 0]) if values.shape[2] == 1 else values).save(buffer, form)
    return buffer.getvalue()


def png16(values: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel, which Pillow writes of grey only; always the same bytes.

    Rows are stored as the difference from the row above (filter 2 of the PNG specification), in network byte order.

    Args:
        values: uint16 `(height, width, channels)`, one to four channels.
    """
    height, width, channels = values.shape
    rows = np.ascontiguousarray(values, ">u2").view(np.uint8).reshape(height, -1)
    above = np.concatenate([np.zeros_like(rows[:1]), rows[:-1]])
    filtered = np.concatenate([np.full((height, 1), 2, np.uint8), rows - above], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 16, _COLOUR_TYPES[channels], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes(), 4)), (b"IEND", b""))
    return _PNG + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
