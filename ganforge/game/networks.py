"""Both players' bare networks."""

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Networks:
    """The bare networks on the CPU, initialised from the recipe's seed: the same on every rank."""

    discriminator: nn.Module
    generator: nn.Module

    @property
    def latent_dim(self) -> int:
        return self.generator.latent_dim  # type: ignore[return-value]

    @property
    def latent_distribution(self) -> str:
        return getattr(self.generator, "latent_distribution", "normal")
