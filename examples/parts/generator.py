"""A generator: from latent vectors to pictures."""

from torch import Tensor, nn

from ganforge import register
from ganforge.spec import DataSpec


@register.generator("tiny")
class Tiny(nn.Module):
    """One hidden layer, from a latent vector to a picture (Goodfellow et al. 2014).

    In: latent `(batch, latent_dim)`. Out: pictures `(batch, channels, height, width)` in [-1, 1].

    Args:
        spec: what a sample looks like.
        latent_dim: dimension of the latent vector.
        width: of the hidden layer.
    """

    def __init__(self, spec: DataSpec, *, latent_dim: int = 32, width: int = 256) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        out = nn.Linear(width, spec.channels * spec.height * spec.width)
        self.layers = nn.Sequential(
            nn.Linear(latent_dim, width), nn.ReLU(), out, nn.Tanh(), nn.Unflatten(1, spec.shape)
        )

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.layers(latent)
