"""Sample grids inside a page, as data addresses."""

import base64
import io
from collections.abc import Mapping
from pathlib import Path

AS_THEY_ARE = 150_000
"""Bytes up to which a PNG is taken as it is; larger ones are packed tighter, with a loss that the eye does not see."""


def evenly(steps: list[int], most: int) -> list[int]:
    """At most `most` of some sorted steps, evenly spaced, with the first and the last."""
    if len(steps) <= most:
        return steps
    if most == 1:
        return steps[-1:]
    return [steps[round(index * (len(steps) - 1) / (most - 1))] for index in range(most)]


def embedded(pictures: Mapping[int, Path], most: int) -> list[dict[str, object]]:
    """Pictures by step for the page's script: `step`, `source`, `width`, `height`."""
    found = []
    for step in evenly(sorted(pictures), most):
        source, size = _source(pictures[step])
        found.append({"step": step, "source": source, "width": size[0], "height": size[1]})
    return found


def _source(path: Path) -> tuple[str, tuple[int, int]]:
    from PIL import Image

    content, kind = path.read_bytes(), "png"
    with Image.open(io.BytesIO(content)) as picture:
        size = picture.size
        if len(content) > AS_THEY_ARE:
            smaller = io.BytesIO()
            picture.convert("RGB").save(smaller, "WEBP", quality=88)
            content, kind = smaller.getvalue(), "webp"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}", size
