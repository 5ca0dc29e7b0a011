"""The noise maps of a generator as a part of what is searched, kept from holding the picture (Karras et al. 2020)."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganforge.arguments import argument
from ganforge.errors import GanforgeError

BUFFER = "noise_const"
SMALLEST = 8
"""Side at which the pyramid of a map ends."""


class NoiseMaps:
    """The fixed noise maps of a generator's layers, one set for each code that is searched for.

    Args:
        network: generator with layers that add noise.

    Raises:
        GanforgeError: no layer does.
    """

    def __init__(self, network: nn.Module) -> None:
        self.fixed = {name: tensor for name, tensor in network.named_buffers() if name.endswith(BUFFER)}
        if not self.fixed:
            raise GanforgeError(
                f"{argument('optimise_noise', True)}: this generator adds no noise, as 'stylegan2' does; leave it out"
            )

    def starts(self, count: int) -> list[Tensor]:
        """The generator's own maps for each of `count` codes, `(count, 1, height, width)` a layer."""
        return [fixed.detach().expand(count, 1, -1, -1).clone() for fixed in self.fixed.values()]

    def named(self, maps: Sequence[Tensor]) -> dict[str, Tensor]:
        """Maps by the names of the buffers that they stand in for."""
        return dict(zip(self.fixed, maps, strict=True))


def called_with(module: nn.Module, noise: dict[str, Tensor] | None, *inputs: Tensor | None, prefix: str = "") -> Tensor:
    """A module's output with other noise maps than its own.

    Args:
        module: the generator, or a part of it.
        noise: by the names of the buffers within the generator; none for its own.
        inputs: of the module.
        prefix: of the module's names within the generator.
    """
    if not noise:
        return module(*inputs)
    own = {name.removeprefix(prefix): maps for name, maps in noise.items() if name.startswith(prefix)}
    return cast(Tensor, torch.func.functional_call(module, own, inputs))


def regularity(maps: Sequence[Tensor]) -> Tensor:
    """How much neighbours in the maps are alike, on all scales (Karras et al. 2020, appendix D), `(batch,)`.

    For each map, and for the maps of half its size down to 8x8 that keep its deviation, the squares of the mean
    products with the map shifted by one pixel, across and down. It is near 0 for white noise; a search without it puts
    the picture itself into the noise.

    Args:
        maps: `(batch, 1, height, width)` each, of mean 0 and deviation 1.
    """
    total = maps[0].new_zeros(len(maps[0]))
    for noise in maps:
        while True:
            for dim in (2, 3):
                total = total + (noise * noise.roll(1, dims=dim)).mean(dim=(1, 2, 3)).square()
            if min(noise.shape[2:]) <= SMALLEST or any(side % 2 for side in noise.shape[2:]):
                break
            noise = 2.0 * functional.avg_pool2d(noise, 2)  # means of four numbers have half their deviation
    return total


@torch.no_grad()
def standardise(maps: Sequence[Tensor]) -> None:
    """Give each map mean 0 and deviation 1, in place, as it has where it is drawn."""
    for noise in maps:
        noise.sub_(noise.mean(dim=(1, 2, 3), keepdim=True))
        noise.mul_(noise.square().mean(dim=(1, 2, 3), keepdim=True).add(1e-12).rsqrt())
