"""Hierarchical latents and a shared class vector for the batch norms of a generator (BigGAN, Brock et al. 2019)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from ganforge.models.conditioning import TakesLabels, required
from ganforge.models.layers import LayerStyle


class AffineBatchNorm(TakesLabels, nn.Module):
    """Batch norm whose gain and bias are linear functions of a vector of each sample; the gain's is around 1.

    Args:
        norm: batch norm over `channels` without gain and bias of its own.
        channels: channels of its input `(batch, channels, height, width)`.
        features: features of the vectors.
        spectral_norm: bound the largest singular value of both functions by 1.
    """

    is_norm: ClassVar = True  # what it learns are gains and biases, which weight decay spares

    def __init__(self, norm: nn.Module, channels: int, features: int, *, spectral_norm: bool) -> None:
        super().__init__()
        self.norm = norm
        self.gain = nn.Linear(features, channels, bias=False)
        self.bias = nn.Linear(features, channels, bias=False)
        for layer in (self.gain, self.bias):
            nn.init.xavier_uniform_(layer.weight)
            if spectral_norm:
                parametrizations.spectral_norm(layer)

    def forward(self, input: Tensor, labels: Tensor | None = None) -> Tensor:
        """Maps and, in the place of labels, vectors `(batch, features)`."""
        vectors = required(labels)
        gain, bias = 1.0 + self.gain(vectors), self.bias(vectors)
        normalised = self.norm(input)
        return gain.to(normalised.dtype)[:, :, None, None] * normalised + bias.to(normalised.dtype)[:, :, None, None]


@dataclass(frozen=True)
class AffineStyle(LayerStyle):
    """A style whose batch norms take their gains and biases from a vector of each sample.

    Args:
        features: features of the vectors.
        spectral: whether these functions have spectral norm.
    """

    features: int = 0
    spectral: bool = False

    def _make_batch_norm(self, channels: int, pictures: bool) -> nn.Module:
        norm = nn.SyncBatchNorm if self.norm == "sync" else nn.BatchNorm2d
        plain = norm(channels, affine=False)
        return AffineBatchNorm(plain, channels, self.features, spectral_norm=self.spectral)


def affine_style(style: LayerStyle, features: int, spectral_norm: bool) -> AffineStyle:
    """A style with such batch norms.

    Raises:
        ValueError: the style has no batch norm.
    """
    if not style.has_batch_norm:
        raise ValueError(
            'conditional = "shared" and hierarchical latents are about batch norm: norm = "batch" or "sync", not '
            f'"{style.norm}"'
        )
    return AffineStyle(style.norm, style.activation, style.leaky_slope, features=features, spectral=spectral_norm)


class Hierarchy(nn.Module):
    """What the first layer and each block are given of a latent and a label.

    Args:
        latent_dim: dimension of the latent vector.
        num_blocks: blocks that look at a vector.
        num_classes: classes that have one vector each, which all blocks share; 0 for none.
        class_dim: dimension of these vectors.
        splits: whether the latent comes in equal pieces, one for the first layer and one for each block; if not, the
            first layer has all of it.

    Raises:
        ValueError: the latent does not come apart in equal pieces.
    """

    def __init__(self, latent_dim: int, num_blocks: int, *, num_classes: int, class_dim: int, splits: bool) -> None:
        super().__init__()
        pieces = num_blocks + 1
        if splits and latent_dim % pieces:
            below = latent_dim - latent_dim % pieces
            near = f"{below} or {below + pieces}" if below else str(pieces)
            raise ValueError(
                f"latent_dim = {latent_dim} does not come apart in {pieces} equal pieces (hierarchical); use {near}"
            )
        self.splits, self.num_blocks = splits, num_blocks
        self.classes = nn.Embedding(num_classes, class_dim) if num_classes else None
        if self.classes is not None:
            nn.init.xavier_uniform_(self.classes.weight)
        self.first_features = latent_dim // pieces if splits else latent_dim
        self.features = (latent_dim // pieces if splits else 0) + (class_dim if num_classes else 0)
        """Features of a block's vector."""

    def forward(self, latent: Tensor, labels: Tensor | None) -> tuple[Tensor, Sequence[Tensor]]:
        """The first layer's input `(batch, first_features)` and each block's vectors `(batch, features)`."""
        first, *pieces = latent.chunk(self.num_blocks + 1, dim=1) if self.splits else (latent,)
        shared = [] if self.classes is None else [self.classes(required(labels)).to(latent.dtype)]
        # The class comes first, as in the authors' code.
        parts = [[*shared, piece] for piece in pieces] if self.splits else [shared] * self.num_blocks
        return first, [torch.cat(part, dim=1) for part in parts]
