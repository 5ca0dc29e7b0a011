"""A dataset: samples with stable numbers."""

import hashlib
from typing import Annotated

import numpy as np
from pydantic import Field

from ganforge import DataSpec, register
from ganforge.data.dataset import ArrayDataset


@register.dataset("blobs")
class Blobs(ArrayDataset):
    """Grey pictures of one soft round spot at a random place.

    Args:
        size: side of the pictures.
        samples: number of pictures.
    """

    def __init__(
        self,
        *,
        size: Annotated[int, Field(ge=8, le=1024)] = 16,
        samples: Annotated[int, Field(ge=1, le=1_000_000)] = 1_000,
    ) -> None:
        places = np.random.Generator(np.random.Philox(key=7)).uniform(0.25, 0.75, (samples, 2, 1, 1)) * size
        y, x = np.mgrid[:size, :size]
        distance = np.hypot(y - places[:, 0], x - places[:, 1])
        rows = (255 * np.exp(-((4 * distance / size) ** 2))).astype(np.uint8)[..., np.newaxis]
        digest = hashlib.sha256(b"blobs" + rows.tobytes()).hexdigest()  # the same samples, the same digest
        super().__init__(rows, DataSpec((1, size, size)), digest)
