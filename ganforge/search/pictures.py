"""A user's pictures and masks, in the shape of the generator's samples."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganforge.arguments import argument
from ganforge.data.depth import as_rows, scaled
from ganforge.data.pictures import BadPicture, Fit, open_picture, to_pixels
from ganforge.data.values import ValueRange
from ganforge.errors import GanforgeError
from ganforge.spec import DataSpec


def read_pictures(paths: Sequence[Path], spec: DataSpec) -> Tensor:
    """Pictures, cut to their centre and resized where they have another size, `(num, channels, height, width)`.

    Raises:
        GanforgeError: a file cannot be read, or the generator makes no grey or RGB pictures.
    """
    if not spec.is_image or spec.channels not in (1, 3):
        raise GanforgeError(f"this generator makes {spec}; latents are searched for by grey or RGB pictures")
    if spec.dtype == "uint8":
        pixels = np.stack([_read(path, Fit(spec.height, spec.width, "center", spec.channels)) for path in paths])
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0).contiguous()
    fit = Fit(spec.height, spec.width, "center", spec.channels, ValueRange(*spec.limits), spec.dtype)
    return scaled(as_rows(np.stack([_read(path, fit) for path in paths])), torch.contiguous_format, spec)


def read_mask(text: str, spec: DataSpec) -> Tensor:
    """What is missing, `(1, height, width)`: 1 in the holes, 0 elsewhere.

    Args:
        text: a picture, white where pixels are missing; or `left,top,right,bottom` in pixels of the generator.
        spec: what samples look like.

    Raises:
        GanforgeError: the mask cannot be read, is not a box in the picture, or leaves nothing missing or nothing known.
    """
    mask = torch.zeros((1, spec.height, spec.width))
    if "," in text and re.fullmatch(r"[-\d,.\s]+", text):
        left, top, right, bottom = _read_box(text, spec)
        mask[:, top:bottom, left:right] = 1.0
    else:
        mask[0] = torch.from_numpy(_read(Path(text), Fit(spec.height, spec.width, "center", 1))[..., 0] > 127).float()
    share = float(mask.mean())
    if share in (0.0, 1.0):
        what = "nothing is missing" if share == 0 else "everything is missing"
        raise GanforgeError(
            f"{argument('mask', text)}: {what} in it; paint what is missing white and what is known black"
        )
    return mask


def _read_box(text: str, spec: DataSpec) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a box that lies in the picture."""
    match = re.fullmatch(r"(\d+),(\d+),(\d+),(\d+)", re.sub(r"\s", "", text))
    if match is not None:
        left, top, right, bottom = map(int, match.groups())
        if left < right <= spec.width and top < bottom <= spec.height:
            return left, top, right, bottom
    raise GanforgeError(
        f"{argument('mask', text)}: a box is left,top,right,bottom in pixels of the generator, with 0 <= left < right "
        f"<= {spec.width} and 0 <= top < bottom <= {spec.height}"
    )


def _read(path: Path, fit: Fit) -> np.ndarray:
    """`(height, width, channels)` of the fit's type."""
    try:
        return to_pixels(open_picture(path.read_bytes()), fit)
    except OSError as error:
        raise GanforgeError(f"{path}: cannot be read: {error.strerror}") from error
    except BadPicture as error:
        raise GanforgeError(f"{path}: {error}") from error


def output_names(paths: Sequence[Path]) -> list[str]:
    """A name for the result of each picture: its own without the ending, with a number where two are the same."""
    names: list[str] = []
    for path in paths:
        name, number = path.stem, 2
        while name in names:
            name, number = f"{path.stem}-{number}", number + 1
        names.append(name)
    return names
