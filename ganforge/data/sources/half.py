"""One half of each picture, of files that hold two side by side, as those of pix2pix do."""

from typing import Literal

import numpy as np

from ganforge.data.pictures import BadPicture, Fit, open_picture, to_pixels
from ganforge.data.sources.base import Item, Source

Half = Literal["left", "right"]


class HalfSource(Source):
    """The left or right half of each picture of another source.

    Both halves of a picture have its number, and what cannot be read is missing from both: two packs are pairs.

    Args:
        whole: the pictures.
        half: which.
    """

    def __init__(self, whole: Source, half: Half) -> None:
        self.whole = whole
        self.half: Half = half
        self.classes = whole.classes
        self.fingerprint = f"{whole.fingerprint} {half} half"
        self.rules = (*whole.rules, f"the {half} half of each picture")
        self.left_out = whole.left_out
        self.is_uniform = whole.is_uniform

    def __len__(self) -> int:
        return len(self.whole)

    def item(self, index: int) -> Item:
        item = self.whole.item(index)
        pixels = item.data
        if isinstance(pixels, bytes):
            pixels = to_pixels(open_picture(pixels), Fit(crop="none"))
        width = pixels.shape[1]
        if width % 2:
            raise BadPicture(f"is {width} pixels wide, which are no two halves")
        columns = slice(0, width // 2) if self.half == "left" else slice(width // 2, None)
        return item._replace(data=np.ascontiguousarray(pixels[:, columns]))

    def known_as(self, index: int) -> str:
        return self.whole.known_as(index)

    def start(self, index: int) -> bytes | np.ndarray:
        """That of the whole picture, which has the same colours."""
        return self.whole.start(index)
