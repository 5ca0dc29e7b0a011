"""Fully connected networks for points and pictures, as in the first GAN (Goodfellow et al. 2014)."""

import math
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from ganforge.models.layers import Activation, LatentDistribution, LayerStyle, Normalisation
from ganforge.registry import register
from ganforge.spec import DataSpec

Width = Annotated[int, Field(ge=1)]
Depth = Annotated[int, Field(ge=1)]
Dropout = Annotated[float, Field(ge=0, lt=1)]
LeakySlope = Annotated[float, Field(ge=0, le=1)]


@register.generator("mlp")
class MLPGenerator(nn.Module):
    """Linear layers from a latent vector to a point or a picture (Goodfellow et al. 2014).

    `depth` hidden layers of `width`, then one to the sample. Out: points `(batch, dimensions)` without bound, or
    pictures `(batch, channels, height, width)` in [-1, 1] by tanh, of any size (the paper's are 28x28). Weights start
    as torch starts linear layers. Labels are taken and ignored. The paper draws latents from a uniform distribution
    (`latent_distribution = "uniform"`) and its picture networks are wide (1200).

    Args:
        spec: what a sample looks like: a point or a picture.
        latent_dim: dimension of the latent vector.
        latent_distribution: what latents are drawn from: `normal` is N(0, 1), `uniform` is U[-1, 1].
        width: features of every hidden layer.
        depth: number of hidden layers.
        norm: `none`, `batch`, `sync` (over all ranks), or `spectral` (Miyato et al. 2018).
        activation: non-linearity after hidden layers.
        leaky_slope: slope below zero if `activation` is `leaky_relu`.
        dropout: probability that a hidden feature is dropped while training.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        latent_dim: Annotated[int, Field(ge=1)] = 100,
        latent_distribution: LatentDistribution = "normal",
        width: Width = 256,
        depth: Depth = 2,
        norm: Normalisation = "none",
        activation: Activation = "relu",
        leaky_slope: LeakySlope = 0.2,
        dropout: Dropout = 0.0,
    ) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.latent_distribution: LatentDistribution = latent_distribution
        style = LayerStyle(norm, activation, leaky_slope, dropout)
        self.hidden = hidden_layers(latent_dim, width, depth, style)
        last = style.prepared(nn.Linear(width, math.prod(spec.shape)))
        self.output = nn.Sequential(last, nn.Tanh(), nn.Unflatten(1, spec.shape)) if spec.is_image else last

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """Latents `(batch, latent_dim)` to samples `(batch, *spec.shape)`."""
        return self.output(self.hidden(latent))


@register.discriminator("mlp")
class MLPDiscriminator(nn.Module):
    """Linear layers from a point or a picture to one logit (Goodfellow et al. 2014, without its maxout).

    `depth` hidden layers of `width`, then one to the logit, `(batch,)`, no sigmoid. Pictures are flattened. Weights
    start as torch starts linear layers. Labels are taken and ignored.

    Args:
        spec: what a sample looks like: a point or a picture.
        width: features of every hidden layer.
        depth: number of hidden layers.
        norm: `none`, `batch`, `sync` (over all ranks), or `spectral` (Miyato et al. 2018: every layer).
        activation: non-linearity after hidden layers.
        leaky_slope: slope below zero if `activation` is `leaky_relu`.
        dropout: probability that a hidden feature is dropped while training (the paper uses it here).
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        width: Width = 256,
        depth: Depth = 2,
        norm: Normalisation = "none",
        activation: Activation = "leaky_relu",
        leaky_slope: LeakySlope = 0.2,
        dropout: Dropout = 0.0,
    ) -> None:
        super().__init__()
        style = LayerStyle(norm, activation, leaky_slope, dropout)
        self.hidden = nn.Sequential(nn.Flatten(1), *hidden_layers(math.prod(spec.shape), width, depth, style))
        self.head = nn.Sequential(style.prepared(nn.Linear(width, 1)), nn.Flatten(0))

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        """Samples `(batch, *spec.shape)` to logits `(batch,)`."""
        return self.head(self.hidden(samples))


def hidden_layers(features: int, width: int, depth: int, style: LayerStyle) -> nn.Sequential:
    """`depth` linear layers of `width`, each a block with what follows it; a batch norm takes the place of its bias."""
    blocks = []
    for index in range(depth):
        layer = nn.Linear(features if index == 0 else width, width, bias=style.hidden_bias)
        blocks.append(nn.Sequential(style.prepared(layer), *style.following(width, pictures=False)))
    return nn.Sequential(*blocks)
