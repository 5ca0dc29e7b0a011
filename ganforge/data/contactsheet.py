"""A sheet of small pictures, to see at a glance what lies in a dataset."""

import numpy as np
from PIL import Image


def contact_sheet(rows: np.ndarray, columns: int) -> Image.Image:
    """Pictures side by side with a thin gap.

    Args:
        rows: uint8 `(count, height, width, channels)`, 1 or 3 channels.
        columns: pictures in a line.
    """
    count, height, width, channels = rows.shape
    lines = -(-count // columns)
    gap = 2
    sheet = np.full((lines * (height + gap) + gap, columns * (width + gap) + gap, channels), 255, np.uint8)
    for number, picture in enumerate(rows):
        line, column = divmod(number, columns)
        top, left = gap + line * (height + gap), gap + column * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    return Image.fromarray(sheet[:, :, 0] if channels == 1 else sheet)


def pick(labels: np.ndarray | None, count: int, wanted: int) -> np.ndarray:
    """Numbers of samples to show: spread over the classes in turn, else over the dataset."""
    if labels is None:
        return np.unique(np.linspace(0, count - 1, min(wanted, count)).astype(np.int64))
    by_class = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    picked = [int(members[turn]) for turn in range(wanted) for members in by_class if turn < len(members)]
    return np.array(picked[:wanted], dtype=np.int64)
