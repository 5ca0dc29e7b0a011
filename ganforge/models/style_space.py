"""Generators with a space of styles between latent and picture, which tools can move in and penalties can read."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from ganforge.models.mapping import Mapping


class StyledGenerator(nn.Module, ABC):
    """A generator of two parts: latents to styles (W), styles to pictures (Karras et al. 2019).

    A subclass sets `mapping`, `synthesis` and `num_ws`, says `style_weights`, and sets `output` if something follows
    the synthesis.

    Attributes:
        mapping: `(latent, labels)` to `(batch, w_dim)`.
        synthesis: styles `(batch, num_ws, w_dim)` to pictures.
        output: last layer that pictures pass through.
        num_ws: layers that have a style each.
        mixing: share of the samples that have the styles of two latents while training.
        psi: truncation in W outside of training: 1 for none, 0 for the mean style alone.
    """

    mapping: Mapping
    synthesis: nn.Module
    output: nn.Module
    num_ws: int
    mixing: float = 0.0
    psi: float = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Identity()

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """Latents `(batch, latent_dim)` to pictures `(batch, channels, height, width)`."""
        return self.pictures(self.styles(latent, labels))

    def pictures(self, styles: Tensor) -> Tensor:
        """Styles `(batch, num_ws, w_dim)` to pictures `(batch, channels, height, width)`."""
        return self.output(self.synthesis(styles))

    @abstractmethod
    def style_weights(self) -> list[Tensor]:
        """The weights by which each layer reads its style, `num_ws` of `(channels, w_dim)`."""

    def styles(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """Styles of every layer, `(batch, num_ws, w_dim)`: mixed while training, truncated otherwise."""
        w = self.mapping(latent, labels)[:, None]
        if not self.training:
            if self.psi != 1.0:
                w = self.mapping.w_avg.to(w.dtype).lerp(w, self.psi)
            return w.expand(-1, self.num_ws, -1)
        if self.mixing == 0.0:
            return w.expand(-1, self.num_ws, -1)
        # Computed on the device without synchronising; in float32, so that one seed always gives the same mix.
        batch, device = len(latent), latent.device
        other = torch.randn(latent.shape, device=device).to(latent.dtype)
        cut = torch.randint(1, self.num_ws, (batch, 1), device=device)
        is_mixed = torch.rand(batch, 1, device=device) < self.mixing
        is_other = is_mixed & (torch.arange(self.num_ws, device=device) >= cut)
        return torch.where(is_other[:, :, None], self.mapping(other, labels, follow=False)[:, None], w)
