"""From a latent to a style: the mapping network of the StyleGAN family (Karras et al. 2019)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganforge.models.conditioning import required
from ganforge.models.equalised import EqualisedLinear, at_least_float32


class Mapping(nn.Module):
    """A stack of layers from a latent, a class, or both to a vector of the space W, in float32 or wider.

    Args:
        latent_dim: dimension of the latent; 0 for a mapping of classes alone.
        num_classes: classes that have a vector each; 0 for a mapping of latents alone.
        w_dim: dimension of W.
        layers: number of layers, each with a leaky ReLU.
        rate: factor on the learning rate of these layers.
        beta: what the running mean `w_avg` keeps of itself in a training forward; None for no running mean.
    """

    w_avg: Tensor

    def __init__(
        self, latent_dim: int, num_classes: int, w_dim: int, *, layers: int, rate: float, beta: float | None
    ) -> None:
        super().__init__()
        self.latent_dim, self.num_classes = latent_dim, num_classes
        self.num_layers, self.beta = layers, beta
        if num_classes:
            self.embed = EqualisedLinear(num_classes, w_dim)
        features = latent_dim + (w_dim if num_classes else 0)
        for index in range(layers):
            self.add_module(f"fc{index}", EqualisedLinear(features, w_dim, activation=True, rate=rate))
            features = w_dim
        if beta is not None:
            self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, latent: Tensor | None, labels: Tensor | None, *, follow: bool = True) -> Tensor:
        """Latents `(batch, latent_dim)` and labels `(batch,)` to `(batch, w_dim)`.

        Args:
            latent: None where the mapping is of classes alone.
            labels: looked at where the mapping has classes.
            follow: whether `w_avg` is updated by this batch, in training.
        """
        parts = [] if latent is None else [_of_unit_size(latent)]
        if self.num_classes:
            chosen = functional.one_hot(required(labels), self.num_classes).to(self.embed.weight.dtype)
            parts.append(_of_unit_size(self.embed(chosen)))
        values = torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]
        for index in range(self.num_layers):
            values = self.get_submodule(f"fc{index}")(values)
        if self.beta is not None and self.training and follow:
            with torch.no_grad():
                self.w_avg.lerp_(values.mean(dim=0).to(self.w_avg.dtype), 1.0 - self.beta)
        return values


def _of_unit_size(values: Tensor) -> Tensor:
    """Vectors `(batch, features)` scaled to a mean square of 1."""
    values = at_least_float32(values)
    return values * (values.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
