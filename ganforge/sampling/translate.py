"""Pictures of any size through a trained translator: whole, or in tiles that are blended where they overlap."""

from collections.abc import Iterator
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganforge.arguments import argument
from ganforge.errors import GanforgeError
from ganforge.sampling.draw import config_of

GLOBAL_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.GroupNorm)
"""Layers that look at a whole map, so that a tile's translation depends on what else the tile shows."""


class Tiles(NamedTuple):
    """How a picture is cut.

    Attributes:
        size: of a tile in pixels of the source; 0 for the whole picture at once.
        overlap: pixels that neighbours share.
    """

    size: int = 0
    overlap: int = 32


class Translator:
    """Translates pictures with one network.

    Args:
        network: from `load_generator`, whose generator is a translator.
        tiles: how pictures are cut.

    Attributes:
        factor: how many times larger results are than what they are made of.

    Raises:
        GanforgeError: the generator makes samples of latents, or tiles are not larger than their overlap.
    """

    def __init__(self, network: nn.Module, tiles: Tiles = Tiles()) -> None:
        config = config_of(network)
        if config.source is None:
            raise GanforgeError(
                f"this generator ('{config.generator['name']}', run '{config.run}') makes samples of latents and "
                "translates no pictures; use `ganforge sample`"
            )
        self.network = network
        self.source = config.source
        self.spec = config.spec
        self.factor = config.spec.height // config.source.height
        self.divides = int(getattr(network, "divides", 1))
        self.smallest = int(getattr(network, "smallest", self.divides))
        self.tiles = tiles._replace(size=self._fitting(tiles.size) if tiles.size else 0)
        if self.tiles.size and not 0 <= tiles.overlap < self.tiles.size:
            raise GanforgeError(
                f"{argument('overlap', tiles.overlap)}: must be from 0 to less than a tile, {self.tiles.size}"
            )
        self.device = next(network.parameters()).device

    def warnings(self) -> list[str]:
        """What makes tiles differ from the whole picture's translation."""
        norms = sorted({type(module).__name__ for module in self.network.modules() if isinstance(module, GLOBAL_NORMS)})
        if not self.tiles.size or not norms:
            return []
        return [
            f"tiles are not what the whole picture would become, since {', '.join(norms)} of this generator sees all "
            "of what it is given; translate whole pictures where memory suffices"
        ]

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> Tensor:
        """Pictures `(batch, source channels, height, width)` in [-1, 1] to `(batch, channels, factor * height, ...)`.

        Their sides may be any: they are mirrored up to what the network takes, and cut back. float32 on the CPU.

        Raises:
            GanforgeError: the device's memory is too small for them.
        """
        try:
            if not self.tiles.size or max(pictures.shape[2:]) <= self.tiles.size:
                return self._whole(pictures)
            return self._blended(pictures)
        except torch.OutOfMemoryError as error:
            height, width = pictures.shape[2:]
            smaller = self._fitting(max(self.divides, (self.tiles.size or max(height, width)) // 2))
            raise GanforgeError(
                f"a picture of {height}x{width} does not fit the memory of {self.device}; cut it: "
                f"{argument('tile', smaller)}"
            ) from error

    def _fitting(self, size: int) -> int:
        """The next size that the network takes."""
        size = max(size, self.smallest)
        return -(-size // self.divides) * self.divides

    def _whole(self, pictures: Tensor) -> Tensor:
        height, width = pictures.shape[2:]
        padded = mirrored(pictures.to(self.device), self._fitting(height), self._fitting(width))
        made = cast(Tensor, self.network(padded, None)).float().cpu()
        return made[:, :, : self.factor * height, : self.factor * width].clamp(-1, 1)

    def _blended(self, pictures: Tensor) -> Tensor:
        """Tile by tile; where tiles overlap, each counts less towards its own border."""
        batch, _, height, width = pictures.shape
        shape = (batch, self.spec.channels, self.factor * height, self.factor * width)
        total, weights = torch.zeros(shape), torch.zeros(shape[2:])
        for top, left in self._places(height, width):
            bottom, right = min(top + self.tiles.size, height), min(left + self.tiles.size, width)
            made = self._whole(pictures[:, :, top:bottom, left:right])
            rows = _ramp(self.factor * (bottom - top), self.factor * self.tiles.overlap, top > 0, bottom < height)
            columns = _ramp(self.factor * (right - left), self.factor * self.tiles.overlap, left > 0, right < width)
            weight = rows[:, None] * columns[None, :]
            area = (
                slice(self.factor * top, self.factor * bottom),
                slice(self.factor * left, self.factor * right),
            )
            total[:, :, area[0], area[1]] += weight * made
            weights[area] += weight
        return total / weights

    def _places(self, height: int, width: int) -> Iterator[tuple[int, int]]:
        for top in _starts(height, self.tiles, self.divides):
            for left in _starts(width, self.tiles, self.divides):
                yield top, left


def mirrored(pictures: Tensor, height: int, width: int) -> Tensor:
    """Pictures with rows and columns mirrored at their ends up to a size; as often as it takes for small ones."""
    while pictures.shape[2] < height or pictures.shape[3] < width:
        down = min(height - pictures.shape[2], pictures.shape[2] - 1)
        across = min(width - pictures.shape[3], pictures.shape[3] - 1)
        if down <= 0 and across <= 0:  # a side of one pixel has nothing to mirror
            return functional.pad(
                pictures, [0, width - pictures.shape[3], 0, height - pictures.shape[2]], mode="replicate"
            )
        pictures = functional.pad(pictures, [0, max(0, across), 0, max(0, down)], mode="reflect")
    return pictures


def _starts(length: int, tiles: Tiles, divides: int) -> list[int]:
    """Where tiles begin along a side: as many as cover it, at multiples of what the network's sides divide by.

    So the network's maps lie over the picture as those of the whole picture do. The last tile is cut off at the end.
    """
    if length <= tiles.size:
        return [0]
    step = max(divides, (tiles.size - tiles.overlap) // divides * divides)
    last = -(-(length - tiles.size) // divides) * divides
    return [*range(0, last, step), last]


def _ramp(length: int, overlap: int, rises: bool, falls: bool) -> Tensor:
    """Weights along a side of a tile, above 0: 1 in the middle, less towards borders that have a neighbour."""
    place = torch.arange(length, dtype=torch.float32)
    weights = torch.ones(length)
    if rises and overlap:
        weights = torch.minimum(weights, (place + 1) / (overlap + 1))
    if falls and overlap:
        weights = torch.minimum(weights, (length - place) / (overlap + 1))
    return weights
