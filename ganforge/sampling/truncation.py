"""The truncation trick: fewer unlikely latents, for better but less varied samples (Brock et al., BigGAN, 2019)."""

import torch
from torch import Tensor, nn

from ganforge.arguments import argument
from ganforge.errors import GanforgeError
from ganforge.models.style_space import StyledGenerator


def truncate_styles(network: nn.Module, psi: float) -> None:
    """Have a generator with a space of styles pull them towards their mean (StyleGAN, Karras et al. 2019, appendix B).

    Args:
        network: generator in evaluation mode; it stays so.
        psi: 1 for styles as they are, 0 for the mean alone; 0.5 and 0.7 are usual.

    Raises:
        GanforgeError: the generator has no styles.
    """
    if not isinstance(network, StyledGenerator):
        raise GanforgeError(
            f"{argument('psi', psi)}: this generator has no space of styles between latent and picture, as 'stylegan2' "
            f"has; {argument('truncation')} bounds the latents of any"
        )
    network.psi = psi


def truncated(latent: Tensor, bound: float, distribution: str = "normal") -> Tensor:
    """Latents whose components lie in [-bound, bound].

    Brock et al. 2019 (section 3.1) draw a component of N(0, 1) again until it falls within the bound. That is the
    normal distribution conditioned on the bound. Here it is sampled by quantiles instead: a component at some quantile
    of N(0, 1) moves to the same quantile of the truncated distribution. So a latent stays a function of its seed and
    index, changes gradually as the bound shrinks, and approaches the untruncated latent as the bound grows. Uniform
    latents are scaled, which is the uniform distribution conditioned on the bound.

    A generator has hardly seen such short latents in training: the paper found that not every network works with
    them, and a DCGAN of the digits blurs at a bound of 0.5.

    Args:
        latent: `(batch, latent_dim)`, from N(0, 1) or U[-1, 1].
        bound: above 0; at most 1 for uniform latents. 2 and 0.5 are usual for normal ones.
        distribution: "normal" or "uniform".
    """
    if distribution == "uniform":
        return latent * bound
    edge = torch.tensor(float(bound), dtype=torch.float64, device=latent.device)
    # By halves: quantiles near 1 lose precision in floating point, those near 0 do not.
    lower = -latent.double().abs()
    outside, inside = torch.special.ndtr(-edge), 0.5 - torch.special.ndtr(-edge)
    quantile = outside + (inside / 0.5) * torch.special.ndtr(lower)
    moved = torch.special.ndtri(quantile).clamp(min=-edge, max=torch.zeros_like(edge))
    return (-moved * latent.double().sign()).to(latent.dtype)
