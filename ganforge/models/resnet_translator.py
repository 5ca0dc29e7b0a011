"""The translator of CycleGAN: residual blocks at a quarter of the size (Johnson et al. 2016; Zhu et al. 2017)."""

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from ganforge.models.translation import Up, divisor_of_sources, doubled, enlarged, enlargement, narrow_weights
from ganforge.registry import register
from ganforge.spec import DataSpec


@register.generator("resnet_translator")
class ResNetTranslator(nn.Module):
    """Pictures to pictures by residual blocks between halvings and doublings (Zhu et al. 2017, appendix 7.2).

    A convolution of 7x7, `halvings` that halve the map and double its channels, `blocks` of two convolutions of 3x3, as
    many doublings, and a convolution of 7x7 with tanh; borders are mirrored and every map is normalised by itself. In:
    pictures `(batch, channels, height, width)` in [-1, 1] of the source, of any sides that divide by `divides`. Out:
    pictures of the target in [-1, 1]. Sources that are smaller than targets are enlarged first, each pixel repeated.
    For RGB and with `up = "transposed"` it has 11,372,931 weights: the authors' 11,378,179 without biases before norms,
    which learn nothing.

    Args:
        spec: what a target looks like.
        source: what a source looks like.
        width: channels of the first map.
        blocks: residual blocks; 9 for 256x256 in the paper, 6 for 128x128.
        halvings: how often the map is halved before the blocks.
        up: how maps are doubled: `nearest` (each position repeated, then a convolution; convolutions of 4x4 halve), or
            `transposed` convolutions as in the authors' code (3x3 both), which show as a chequered pattern more easily.

    Raises:
        ValueError: the pictures' sizes do not fit each other, or cannot be halved so often.
    """

    def __init__(
        self,
        spec: DataSpec,
        source: DataSpec,
        *,
        width: Annotated[int, Field(ge=1, le=65_536)] = 64,
        blocks: Annotated[int, Field(ge=1, le=1024)] = 9,
        halvings: Annotated[int, Field(ge=1, le=8)] = 2,
        up: Up = "nearest",
    ) -> None:
        super().__init__()
        self.factor = enlargement(spec, source)
        smallest = 2**halvings * 2
        if spec.height % 2**halvings or spec.width % 2**halvings or min(spec.height, spec.width) < max(smallest, 4):
            raise ValueError(
                f"halvings = {halvings}: pictures of {spec.height}x{spec.width} do not divide by {2**halvings}, or are "
                f"smaller than {max(smallest, 4)}; choose fewer halvings, or cut the pictures to a size that does"
            )
        self.divides = divisor_of_sources(2**halvings, self.factor)
        self.smallest = -(-max(smallest, 4) // self.factor)
        first = nn.Conv2d(source.channels, width, 7, padding=3, padding_mode="reflect", bias=False)
        layers: list[nn.Module] = [first, nn.InstanceNorm2d(width), nn.ReLU()]
        channels = width
        # Of 3x3 a position lies over one pixel of two, and a transposed convolution leads back to it; repeated it lies
        # over both, and so do those of 4x4. Otherwise pictures move by half a pixel a halving.
        size = 3 if up == "transposed" else 4
        for _ in range(halvings):
            halve = nn.Conv2d(channels, 2 * channels, size, 2, 1, bias=False)
            layers += [halve, nn.InstanceNorm2d(2 * channels), nn.ReLU()]
            channels *= 2
        layers += [ResidualBlock(channels) for _ in range(blocks)]
        for _ in range(halvings):
            layers += [doubled(channels, channels // 2, up, bias=False), nn.InstanceNorm2d(channels // 2), nn.ReLU()]
            channels //= 2
        layers += [nn.Conv2d(channels, spec.channels, 7, padding=3, padding_mode="reflect"), nn.Tanh()]
        self.layers = nn.Sequential(*layers)
        narrow_weights(self)

    def forward(self, source: Tensor, labels: Tensor | None = None) -> Tensor:
        """Pictures `(batch, source channels, height, width)` to targets, `factor` times larger along both sides."""
        return self.layers(enlarged(source, self.factor))


class ResidualBlock(nn.Module):
    """Two normalised convolutions of 3x3 beside a way past them, without a non-linearity after the sum.

    Args:
        channels: of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect", bias=False),
            nn.InstanceNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect", bias=False),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.layers(maps)
