"""A plugin with a dataset of random labelled pictures of any size: for tests, which must not need any other."""

from typing import Annotated

import numpy as np
from pydantic import Field

from ganforge.data.dataset import ArrayDataset
from ganforge.registry import register
from ganforge.spec import DataSpec

Size = Annotated[int, Field(ge=1)]


@register.dataset("testing_pictures")
class RandomPictures(ArrayDataset):
    """Random pictures with three classes, always the same ones.

    Args:
        channels: of a picture.
        size: height and width.
        samples: how many.
    """

    def __init__(self, *, channels: Size = 1, size: Size = 16, samples: Size = 64) -> None:
        rows = np.random.default_rng(0).integers(0, 256, (samples, size, size, channels), dtype=np.uint8)
        spec = DataSpec((channels, size, size), ("cat", "dog", "owl"))
        super().__init__(rows, spec, f"testing-{rows.shape}", np.arange(samples) % 3)
