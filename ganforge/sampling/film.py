"""Pictures in a row as one file: a strip (PNG and the like), a GIF, or an MP4."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from ganforge.errors import GanforgeError
from ganforge.grid import shown_pixels, single

GAP = 2
STRIP_SIDE = 96
FILMS = (".gif", ".mp4")
LONGEST_STRIP = 65_000  # pixels: what PNG readers handle reliably, and JPEG's limit


def is_film(path: Path) -> bool:
    """Whether the file's suffix is that of a film."""
    return path.suffix.lower() in FILMS


def write_film(frames: Sequence[Image.Image], path: Path, fps: float) -> None:
    """A GIF that repeats, or an MP4 (H.264, which browsers play; extra `video`).

    Args:
        frames: pictures of one size.
        path: ends in `.gif` or `.mp4`.
        fps: frames a second; a GIF counts in hundredths of a second.

    Raises:
        GanforgeError: it cannot be written, or the extra is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        if path.suffix.lower() == ".gif":
            duration = max(20, 10 * round(100 / fps))
            frames[0].save(path, save_all=True, append_images=list(frames[1:]), duration=duration, loop=0)
        else:
            _write_mp4(frames, path, fps)
    except (OSError, ValueError) as error:
        raise GanforgeError(f"{path}: cannot be written: {error}") from error


def _write_mp4(frames: Sequence[Image.Image], path: Path, fps: float) -> None:
    try:
        import av
    except ImportError as error:
        raise GanforgeError(f"{path}: MP4 needs PyAV: pip install 'ganforge[video]'; a GIF needs nothing") from error
    from fractions import Fraction

    width, height = (size + size % 2 for size in frames[0].size)  # 4:2:0 has half as many pixels of colour
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "18"}
        for picture in frames:
            canvas = Image.new("RGB", (width, height))
            canvas.paste(picture.convert("RGB"))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(canvas), format="rgb24")))
        container.mux(stream.encode())


def write_table(pictures: Tensor, path: Path, has_alpha: bool = False) -> None:
    """A strip of pictures in [-1, 1], `(rows, columns, channels, height, width)`; small ones are enlarged."""
    rows = (shown_pixels(row, has_alpha) for row in pictures)
    write_strip([[enlarged(single(pixels), STRIP_SIDE) for pixels in row] for row in rows], path)


def write_strip(rows: Sequence[Sequence[Image.Image]], path: Path) -> None:
    """Rows of pictures of one size beside each other.

    Raises:
        GanforgeError: it cannot be written, or would be too long.
    """
    width, height = rows[0][0].size
    columns = max(len(row) for row in rows)
    size = (columns * (width + GAP) + GAP, len(rows) * (height + GAP) + GAP)
    if max(size) > LONGEST_STRIP:
        raise GanforgeError(f"{path}: a strip of {size[0]}x{size[1]} pixels; make fewer frames, or a .gif or .mp4")
    sheet = Image.new(rows[0][0].mode, size)
    for down, row in enumerate(rows):
        for across, picture in enumerate(row):
            sheet.paste(picture, (GAP + across * (width + GAP), GAP + down * (height + GAP)))
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        sheet.save(path)
    except (OSError, ValueError) as error:
        raise GanforgeError(f"{path}: cannot be written: {error}") from error


def enlarged(picture: Image.Image, side: int) -> Image.Image:
    """Enlarge a small picture by a whole factor, so that its longer side comes near `side`."""
    scale = max(1, math.floor(side / max(picture.size)))
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)
