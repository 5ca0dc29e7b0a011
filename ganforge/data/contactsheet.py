"""A sheet of small pictures, to see at a glance what lies in a dataset."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from ganforge.grid import for_people
from ganforge.spec import DataSpec

STRIP = 2
"""A sheet whose height is more than this multiple of its width is a strip."""


def contact_sheet(rows: np.ndarray, lines: Sequence[Sequence[int]]) -> Image.Image:
    """Pictures side by side with a thin gap.

    Args:
        rows: uint8 `(count, height, width, channels)`, 1 or 3 channels.
        lines: numbers of the pictures in each line.
    """
    _, height, width, channels = rows.shape
    columns = max(map(len, lines))
    gap = 2
    sheet = np.full((len(lines) * (height + gap) + gap, columns * (width + gap) + gap, channels), 255, np.uint8)
    for line, numbers in enumerate(lines):
        for column, number in enumerate(numbers):
            top, left = gap + line * (height + gap), gap + column * (width + gap)
            sheet[top : top + height, left : left + width] = rows[number]
    return Image.fromarray(sheet[:, :, 0] if channels == 1 else sheet)


def displayed(rows: np.ndarray, spec: DataSpec) -> np.ndarray:
    """Stored samples `(count, height, width, channels)` as people are shown them: uint8, one or three channels.

    The range of values becomes 0..255, and what is transparent lets a checkerboard through.
    """
    if spec.dtype != "uint8":
        low, high = spec.limits
        rows = np.rint(np.clip((rows.astype(np.float64) - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    return for_people(rows, spec.has_alpha)


def lines_of(labels: np.ndarray | None, count: int, height: int, width: int) -> list[list[int]]:
    """Which pictures stand in each line, so that the sheet is about square.

    A class begins a line of its own. If that makes a strip, as with a hundred classes of one picture, classes follow
    each other in the same line.

    Args:
        labels: of the pictures, or None.
        count: of the pictures.
        height: of each, in pixels.
        width: the same.
    """
    by_class = (
        [list(range(count))]
        if labels is None
        else [np.flatnonzero(labels == label).tolist() for label in np.unique(labels)]
    )
    lines = _squarest(by_class, height, width)
    if len(lines) * height > STRIP * max(map(len, lines)) * width:
        lines = _squarest([[number for members in by_class for number in members]], height, width)
    return lines


def _squarest(groups: list[list[int]], height: int, width: int) -> list[list[int]]:
    """Groups cut into lines of the length that keeps the longer side of the sheet shortest."""
    most = 1 + math.isqrt(4 * sum(map(len, groups)) * height // width)  # twice as wide as a square
    layouts = [
        [group[start : start + columns] for group in groups for start in range(0, len(group), columns)]
        for columns in range(1, most + 1)
    ]
    return min(layouts, key=lambda lines: max(len(lines) * height, max(map(len, lines)) * width))


def pick(labels: np.ndarray | None, count: int, wanted: int) -> np.ndarray:
    """Numbers of samples to show: spread over the classes in turn, else over the dataset."""
    if labels is None:
        return np.unique(np.linspace(0, count - 1, min(wanted, count)).astype(np.int64))
    by_class = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    picked = [int(members[turn]) for turn in range(wanted) for members in by_class if turn < len(members)]
    return np.array(picked[:wanted], dtype=np.int64)
