"""A discriminator: from pictures to logits."""

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from ganforge import register
from ganforge.spec import DataSpec


@register.discriminator("two_scales")
class TwoScales(nn.Module):
    """Judges a picture and its half, with a small network for each (after Wang et al. 2018, pix2pixHD).

    In: pictures `(batch, channels, height, width)` in [-1, 1]. Out: logits `(batch,)`, without a sigmoid.

    Args:
        spec: what a sample looks like.
        width: channels of the first layer.
    """

    def __init__(self, spec: DataSpec, *, width: Annotated[int, Field(ge=1, le=4096)] = 16) -> None:
        super().__init__()
        if not spec.is_image or min(spec.height, spec.width) < 8:
            raise ValueError(f"judges pictures of 8x8 and above, not {spec}")  # becomes a line that names the table
        self.fine, self.coarse = (_judge(spec.channels, width) for _ in range(2))

    def forward(self, pictures: Tensor, labels: Tensor | None = None) -> Tensor:
        fine, coarse = self.fine(pictures), self.coarse(functional.avg_pool2d(pictures, 2))
        return fine.mean(dim=(1, 2, 3)) + coarse.mean(dim=(1, 2, 3))


def _judge(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, 4, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(2 * width, 1, 1),
    )
