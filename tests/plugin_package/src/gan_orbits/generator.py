"""A generator that knows polar coordinates."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from ganforge.registry import register
from ganforge.spec import DataSpec


@register.generator("orbits")
class Orbits(nn.Module):
    """Points in the plane from a learned radius and angle (Example of a plugin, 2025).

    Maps latents `(batch, latent_dim)` to points `(batch, 2)`.

    Args:
        spec: what a sample looks like; must be points in two dimensions.
        latent_dim: dimension of the latent vector.
        width: units of the hidden layer.
        radius: what the radius starts around.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        latent_dim: Annotated[int, Field(ge=1)] = 8,
        width: Annotated[int, Field(ge=1)] = 64,
        radius: Annotated[float, Field(gt=0)] = 1.0,
    ) -> None:
        super().__init__()
        if spec.shape != (2,):
            raise ValueError(f"makes points in 2 dimensions, not {spec}")
        self.latent_dim = latent_dim
        self.radius = radius
        self.layers = nn.Sequential(nn.Linear(latent_dim, width), nn.SiLU(), nn.Linear(width, 3))

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        size, *direction = self.layers(latent).unbind(dim=1)
        angle = torch.atan2(*direction)
        distance = self.radius * torch.exp(size)
        return torch.stack([distance * angle.cos(), distance * angle.sin()], dim=1)
