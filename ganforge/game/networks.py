"""What generators and discriminators are to everything that calls them."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from ganforge.game.ways import BothWays
from ganforge.spec import DataSpec


@runtime_checkable
class Generator(Protocol):
    """Maps latents to samples. Any module with a `latent_dim` is one.

    A generator may also have `latent_distribution`, "normal" (which holds without it) or "uniform" on [-1, 1].

    Attributes:
        latent_dim: dimension of the latent vector.
    """

    latent_dim: int

    def __call__(self, latent: Tensor, labels: Tensor | None = None, /) -> Tensor:
        """Latents `(batch, latent_dim)` and labels `(batch,)` int64 to samples `(batch, *spec.shape)`."""
        ...


class Translator(Protocol):
    """Maps pictures to pictures: a generator whose signature names `source` among what the framework supplies.

    Attributes:
        divides: what height and width of a source must divide by; 1 without it.
    """

    divides: int

    def __call__(self, source: Tensor, labels: Tensor | None = None, /) -> Tensor:
        """Pictures `(batch, *source.shape)` in [-1, 1] to pictures `(batch, *spec.shape)` in [-1, 1]."""
        ...


@runtime_checkable
class Discriminator(Protocol):
    """Maps samples to logits. Any module that does so is one."""

    def __call__(self, samples: Tensor, labels: Tensor | None = None, /) -> Tensor:
        """Samples `(batch, *spec.shape)` and labels `(batch,)` int64 to logits `(batch,)`, without a sigmoid."""
        ...


def latent_dim_of(network: nn.Module) -> int:
    """Dimension of a generator's latents.

    Raises:
        ValueError: the module has no `latent_dim`.
    """
    dim: object = network.latent_dim if isinstance(network, Generator) else None
    if not isinstance(dim, int):
        raise ValueError("has no attribute latent_dim; set it to the size of its latent")
    return dim


def latent_distribution_of(network: nn.Module) -> str:
    """What a generator's latents are drawn from, "normal" or "uniform"."""
    return getattr(network, "latent_distribution", "normal")


@dataclass(frozen=True)
class Networks:
    """The bare networks on the CPU, initialised from the recipe's seed: the same on every rank.

    Args:
        discriminator: or both of them, as `BothWays`.
        generator: or both of them, as `BothWays`.
        source: what a picture that a translator is given looks like; None for a generator of latents.
    """

    discriminator: nn.Module
    generator: nn.Module
    source: DataSpec | None = None

    @property
    def has_two_ways(self) -> bool:
        """Whether each player holds a network for each way."""
        return isinstance(self.generator, BothWays)

    @property
    def latent_dim(self) -> int:
        return latent_dim_of(self.generator)

    @property
    def latent_distribution(self) -> str:
        return latent_distribution_of(self.generator)
