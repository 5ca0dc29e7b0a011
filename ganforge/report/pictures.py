"""Sample grids inside a page, as data addresses."""

import base64
import io
import struct
from collections.abc import Mapping
from pathlib import Path

AS_THEY_ARE = 150_000
"""Bytes up to which a PNG is taken as it is; larger ones are compressed further, with a loss that is not visible."""

LARGEST = 64 << 20
"""Largest size in bytes of a file that can be a sample grid."""

MOST_PIXELS = 1 << 27


def evenly(steps: list[int], most: int) -> list[int]:
    """At most `most` of some sorted steps, evenly spaced, with the first and the last."""
    if len(steps) <= most:
        return steps
    if most == 1:
        return steps[-1:]
    return [steps[round(index * (len(steps) - 1) / (most - 1))] for index in range(most)]


def embedded(pictures: Mapping[int, Path], most: int) -> tuple[list[dict[str, object]], int]:
    """Pictures by step for the page's script, `step`, `source`, `width`, `height`; and how many could not be read."""
    found, unreadable = [], 0
    for step in evenly(sorted(pictures), most):
        try:
            source, size = _source(pictures[step])
        except Unreadable:
            unreadable += 1
            continue
        found.append({"step": step, "source": source, "width": size[0], "height": size[1]})
    return found, unreadable


class Unreadable(Exception):
    """The file is not a picture, or is too large for a page."""


def _source(path: Path) -> tuple[str, tuple[int, int]]:
    from PIL import Image

    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            raise Unreadable(path)
        content, kind = path.read_bytes(), "png"
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            size = picture.size
            if size[0] * size[1] > MOST_PIXELS:
                raise Unreadable(path)
            picture.load()  # a truncated file is detected only here
            if len(content) > AS_THEY_ARE:
                smaller = io.BytesIO()
                picture.convert("RGB").save(smaller, "WEBP", quality=88)
                content, kind = smaller.getvalue(), "webp"
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError) as error:
        raise Unreadable(path) from error
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}", size
