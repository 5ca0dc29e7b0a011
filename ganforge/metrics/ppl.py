"""Perceptual path length: how much pictures change along a short way between two latents."""

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from ganforge.data.dataset import Dataset
from ganforge.metrics.generated import Generated
from ganforge.metrics.lpips import PerceptualDistance
from ganforge.metrics.metric import GeneratorMetric
from ganforge.metrics.rgb import check_pictures
from ganforge.metrics.weights import given_weights
from ganforge.models.style_space import StyledGenerator
from ganforge.registry import register

LARGEST = 256
"""Side to which larger pictures are averaged, as in the authors' code."""


@register.metric("ppl")
class PerceptualPathLength(GeneratorMetric):
    """Perceptual path length (Karras et al. 2019, section 4.1; 2020, section 3): lower is smoother.

    The mean LPIPS distance of the pictures of two latents that lie `epsilon` apart on the way between two random ones,
    over `epsilon` squared; the smallest and the largest hundredth are left out, as in the authors' code. Ways are
    straight in the space of styles, for generators that have one, and along the sphere between latents otherwise; the
    two do not compare. It looks at as many ways as there are fakes (50,000 in the papers).

    The weights of VGG16 and of LPIPS are files of yours, checked by their sha256: torchvision's `vgg16-397923af.pth`
    and `vgg.pth` of the authors of LPIPS (weights v0.1). Nothing is fetched.

    Args:
        dataset: pictures, grey or RGB.
        vgg: path of VGG16's weights.
        vgg_sha256: sha256 of that file, in hex.
        heads: path of LPIPS's weights by channel.
        heads_sha256: sha256 of that file.
        epsilon: length of a step, as a share of the way; 1e-4 in the papers.
        sampling: whether steps lie anywhere on the way (`full`) or at its beginning (`end`, the figure of StyleGAN2).
    """

    better: ClassVar = {"ppl": "lower"}

    def __init__(
        self,
        dataset: Dataset,
        *,
        vgg: str,
        vgg_sha256: str,
        heads: str,
        heads_sha256: str,
        epsilon: Annotated[float, Field(gt=0, le=0.1)] = 1e-4,
        sampling: Literal["full", "end"] = "end",
    ) -> None:
        check_pictures(dataset.spec)
        self.epsilon, self.sampling = epsilon, sampling
        self._distance = PerceptualDistance(given_weights(vgg, vgg_sha256), given_weights(heads, heads_sha256))

    def look(self, fakes: Generated, indices: range, total: int) -> Tensor:
        network = fakes.network
        first, labels = fakes.inputs(indices)
        second, _ = fakes.inputs(range(total + indices.start, total + indices.stop))
        random = torch.Generator().manual_seed(indices.start)  # batches are the same on any number of ranks
        place = torch.rand(len(indices), 1, generator=random) if self.sampling == "full" else torch.zeros(1, 1)
        place = place.to(first)
        pictures = [self._seen(_on_the_way(network, first, second, labels, at)) for at in (place, place + self.epsilon)]
        self._distance.to(first.device)
        return self._distance(*pictures) / self.epsilon**2

    def _seen(self, pictures: Tensor) -> Tensor:
        """Pictures as LPIPS looks at them: RGB, no larger than 256."""
        pictures = pictures.float().expand(-1, 3, -1, -1)
        factor = min(pictures.shape[2:]) // LARGEST
        return functional.avg_pool2d(pictures, factor) if factor > 1 else pictures

    def of_rows(self, rows: Tensor) -> dict[str, float]:
        ordered = rows.double().sort().values
        least, most = int(0.01 * (len(rows) - 1)), -int(-0.99 * (len(rows) - 1) // 1)
        return {"ppl": float(ordered[least : most + 1].mean())}


def _on_the_way(network: nn.Module, first: Tensor, second: Tensor, labels: Tensor | None, at: Tensor) -> Tensor:
    """Pictures at a share of the way between two latents."""
    if isinstance(network, StyledGenerator):
        one, other = (network.mapping(latent, labels, follow=False) for latent in (first, second))
        return network.pictures(one.lerp(other, at.to(one))[:, None].expand(-1, network.num_ws, -1))
    one, other = (latent / latent.norm(dim=1, keepdim=True) for latent in (first, second))
    angle = at * (one * other).sum(dim=1, keepdim=True).clamp(-1, 1).acos()
    across = other - (one * other).sum(dim=1, keepdim=True) * one
    across = across / across.norm(dim=1, keepdim=True)
    return network((one * angle.cos() + across * angle.sin()) * first.norm(dim=1, keepdim=True), labels)
