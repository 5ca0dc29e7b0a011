"""LPIPS: how different two pictures look (Zhang, Isola, Efros, Shechtman and Wang 2018), with VGG16."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganforge.errors import GanforgeError
from ganforge.metrics.weights import load_weights

BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Channels of VGG16's convolutions; a block ends before the pooling (Simonyan and Zisserman 2015, configuration D)."""
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Mean and deviation of natural pictures in [-1, 1], by channel, as VGG16 expects them taken off."""


class PerceptualDistance(nn.Module):
    """Distance of VGG16's features, weighed by channel as people judge it.

    Args:
        vgg: file of VGG16's weights as torchvision publishes them (`features.0.weight`, ...).
        heads: file of LPIPS's weights by channel as its authors publish them (`lin0.model.1.weight`, ...).

    Raises:
        GanforgeError: a file holds something else.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, vgg: Path, heads: Path) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):  # the weights that it is made with are replaced
            self.blocks = nn.ModuleList()
            channels, place = 3, 0
            names: dict[str, str] = {}
            for number, widths in enumerate(BLOCKS):
                layers: list[nn.Module] = []
                for width in widths:
                    for kind in ("weight", "bias"):
                        names[f"blocks.{number}.{len(layers)}.{kind}"] = f"features.{place}.{kind}"
                    layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                    channels, place = width, place + 2
                self.blocks.append(nn.Sequential(*layers))
                place += 1  # the pooling
        self.heads = nn.ParameterList(torch.zeros(1, widths[-1], 1, 1) for widths in BLOCKS)
        self._take(vgg, names)
        self._take(heads, {f"heads.{number}": f"lin{number}.model.1.weight" for number in range(len(BLOCKS))})
        self.register_buffer("shift", torch.tensor(SHIFT).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(SCALE).view(1, 3, 1, 1))
        self.eval().requires_grad_(False)

    def _take(self, path: Path, names: Mapping[str, str]) -> None:
        given: Mapping[str, Any] = load_weights(path)
        own = self.state_dict()
        for ours, theirs in names.items():
            if not isinstance(given.get(theirs), Tensor) or given[theirs].shape != own[ours].shape:
                raise GanforgeError(f"{path}: these are not the weights of VGG16 and LPIPS: '{theirs}' is not as there")
            own[ours].copy_(given[theirs])

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Pictures `(batch, 3, height, width)` in [-1, 1] to distances `(batch,)`."""
        total = one.new_zeros(len(one))
        maps = torch.cat([one, other])
        maps = (maps - self.shift) / self.scale
        for number, block in enumerate(self.blocks):
            maps = block(functional.max_pool2d(maps, 2) if number else maps)
            first, second = (part / (part.square().sum(dim=1, keepdim=True).sqrt() + 1e-10) for part in maps.chunk(2))
            total = total + ((first - second).square() * self.heads[number]).sum(dim=1).mean(dim=(1, 2))
        return total
