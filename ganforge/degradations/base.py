"""What a degradation is, and a recipe's row of them."""

import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ganforge.data.transfer import to_device
from ganforge.data.transform import uniform
from ganforge.spec import DataSpec


class Degradation(nn.Module, ABC):
    """Makes pictures worse: smaller, greyer, with holes. Has no weights that learn.

    Attributes:
        spec: what its pictures look like; the next degradation of a recipe is offered this one.
        numbers: how many numbers in [0, 1) it wants for each picture; they depend on the picture's place in the data
            alone, so that no degradation draws any.
    """

    spec: DataSpec
    numbers: int = 0

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        if not spec.is_image:
            raise ValueError(f"degrades pictures, and these samples are {spec}")
        self.spec = spec

    @abstractmethod
    def forward(self, pictures: Tensor, numbers: Tensor) -> Tensor:
        """Pictures `(batch, channels, height, width)` in [-1, 1] to `(batch, *self.spec.shape)` in [-1, 1].

        Args:
            pictures: of any size that the degradation takes, not only that of its spec.
            numbers: `(batch, self.numbers)` float64 in [0, 1).
        """


class Degradations(nn.Module):
    """All degradations of a recipe in their order.

    Args:
        steps: the degradations; each was offered the spec of the one before.
        seed: of the recipe.

    Attributes:
        spec: what comes out.
    """

    def __init__(self, steps: Sequence[Degradation], seed: int) -> None:
        super().__init__()
        self.steps = nn.ModuleList(steps)
        self.seed = seed
        self.spec = steps[-1].spec

    @torch.no_grad()
    def forward(self, pictures: Tensor, positions: np.ndarray, stream: str = "") -> Tensor:
        """Targets `(batch, channels, height, width)` to their sources `(batch, *spec.shape)`, without a graph.

        Args:
            pictures: in [-1, 1].
            positions: of each in the endless order of the data, or its number in the dataset.
            stream: what they are for: training, or another name under which other numbers are drawn.
        """
        for index, step in enumerate(self.steps):
            assert isinstance(step, Degradation)
            pictures = step(pictures, self._numbers(index, step.numbers, positions, stream, pictures.device))
        return pictures

    def _numbers(self, index: int, count: int, positions: np.ndarray, stream: str, device: torch.device) -> Tensor:
        """Hashed from seed, place and what they are for."""
        names = [f"degrade.{index}.{number}{stream}" for number in range(count)]
        rows = [uniform(self.seed, positions, zlib.crc32(name.encode())) for name in names]
        return to_device(np.stack(rows, axis=1) if rows else np.empty((len(positions), 0)), device)
