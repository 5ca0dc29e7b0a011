"""The space that is searched: latents, or the styles of a generator that has them.

Styles of W+ reach pictures that no latent does, W stays nearer to what the generator was trained on (Abdal et al. 2019;
Karras et al. 2020, section 5).
"""

from abc import ABC, abstractmethod
from typing import Literal, cast

import torch
from torch import Tensor, nn

from ganforge.arguments import argument
from ganforge.errors import GanforgeError
from ganforge.game.latents import latents
from ganforge.game.networks import latent_distribution_of
from ganforge.models.style_space import StyledGenerator
from ganforge.search.noise import called_with

SpaceName = Literal["auto", "z", "w", "w+"]
STREAM = "search"
DRAWN = 1000
"""Styles by which their deviation is measured."""
Noise = dict[str, Tensor]
"""Maps by the names of the buffers that they stand in for."""


class Space(ABC):
    """A space of codes from which the generator makes samples."""

    @abstractmethod
    def starts(self, count: int, seed: int, labels: Tensor | None) -> Tensor:
        """The first codes, `(count, ...)`, a function of the seed and of the labels `(count,)`."""

    @abstractmethod
    def samples(self, codes: Tensor, labels: Tensor | None, noise: Noise | None = None) -> Tensor:
        """Samples of the codes, `(batch, *spec.shape)` float32, with these noise maps by name instead of its own."""

    def deviation(self, seed: int) -> float:
        """Root mean square distance of codes from their mean, which is the measure of `exploration`.

        Raises:
            GanforgeError: there is nothing to explore in this space.
        """
        raise GanforgeError(
            f"{argument('exploration')} moves styles about, and this search is in latents; leave it out"
        )

    def keep(self, codes: Tensor) -> None:
        """Project codes back into the region that the generator was trained on, in place."""


class Latents(Space):
    """The generator's own input.

    Normal latents stay in the ball of radius sqrt(latent_dim), uniform ones in their cube.

    Args:
        network: any generator.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.distribution = latent_distribution_of(network)

    def starts(self, count: int, seed: int, labels: Tensor | None) -> Tensor:
        device = next(self.network.parameters()).device
        dim = cast(int, self.network.latent_dim)
        return latents(seed, STREAM, 0, range(count), dim, self.distribution, device)

    def samples(self, codes: Tensor, labels: Tensor | None, noise: Noise | None = None) -> Tensor:
        return called_with(self.network, noise, codes, labels).float()

    def keep(self, codes: Tensor) -> None:
        if self.distribution == "uniform":
            codes.clamp_(-1.0, 1.0)
        else:
            codes.mul_((codes.shape[1] ** 0.5 / codes.norm(dim=1, keepdim=True)).clamp(max=1.0))


class Styles(Space):
    """Styles, one for all layers (W) or one a layer (W+).

    The first start is the mean style, as in the authors' projector (Karras et al. 2020, appendix D), the others are
    halfway from it to those of latents.

    Args:
        network: a generator with styles.
        layered: whether every layer has a style of its own.
    """

    def __init__(self, network: StyledGenerator, *, layered: bool) -> None:
        self.network = network
        self.num_styles = network.num_ws if layered else 1

    def starts(self, count: int, seed: int, labels: Tensor | None) -> Tensor:
        drawn = Latents(self.network).starts(count, seed, labels)
        mean = self.network.mapping.w_avg
        with torch.no_grad():
            w = mean.lerp(self.network.mapping(drawn, labels, follow=False), 0.5)
            w[0] = mean
        return w[:, None].repeat(1, self.num_styles, 1)

    def samples(self, codes: Tensor, labels: Tensor | None, noise: Noise | None = None) -> Tensor:
        styles = codes.expand(-1, self.network.num_ws, -1)
        return self.network.output(called_with(self.network.synthesis, noise, styles, prefix="synthesis.")).float()

    @torch.no_grad()
    def deviation(self, seed: int) -> float:
        drawn = Latents(self.network).starts(DRAWN, seed, None)
        classes = self.network.mapping.num_classes
        labels = torch.arange(DRAWN, device=drawn.device) % classes if classes else None
        w = self.network.mapping(drawn, labels, follow=False)
        return float((w - self.network.mapping.w_avg).square().sum(dim=1).mean().sqrt())


def space_of(network: nn.Module, name: SpaceName) -> Space:
    """The space of that name; `auto` is W where the generator has it, else that of latents.

    Raises:
        GanforgeError: the generator has no styles.
    """
    if name == "z" or (name == "auto" and not isinstance(network, StyledGenerator)):
        return Latents(network)
    if not isinstance(network, StyledGenerator):
        raise GanforgeError(
            f"{argument('space', name)}: this generator has no styles, as 'stylegan2' has; leave it out"
        )
    return Styles(network, layered=name == "w+")
