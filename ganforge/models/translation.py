"""What translators share: a source that is smaller than the target is enlarged first, and the first weights."""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from ganforge.spec import DataSpec

Up = Literal["nearest", "transposed"]


def enlargement(spec: DataSpec, source: DataSpec) -> int:
    """How many times larger targets are than their sources, along both sides.

    Raises:
        ValueError: either are not pictures, or targets are not a whole number of times larger along both sides.
    """
    if not (spec.is_image and source.is_image):
        raise ValueError(f"makes pictures of pictures, and these are {source} to {spec}: use 'mlp'")
    factor = spec.height // source.height
    if factor < 1 or (factor * source.height, factor * source.width) != (spec.height, spec.width):
        raise ValueError(
            f"targets of {spec.height}x{spec.width} must be a whole number of times larger than their sources, along "
            f"both sides alike, which are {source.height}x{source.width}; cut or pack one of them to another size"
        )
    return factor


def enlarged(source: Tensor, factor: int) -> Tensor:
    """Pictures with each pixel repeated along both sides."""
    return source if factor == 1 else functional.interpolate(source, scale_factor=float(factor))


def divisor_of_sources(sides: int, factor: int) -> int:
    """What sources' sides must divide by, if those of the enlarged ones must divide by `sides`, a power of two."""
    while sides > 1 and factor % 2 == 0:
        sides, factor = sides // 2, factor // 2
    return sides


def narrow_weights(network: nn.Module, std: float = 0.02) -> None:
    """Weights of all convolutions from N(0, std), biases 0 (Isola et al. 2017, section 6.2)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def doubled(channels_in: int, channels_out: int, up: Up, *, bias: bool, kernel_size: int = 3) -> nn.Module:
    """A layer that doubles the map: each position repeated and then a convolution of 3x3, or a transposed convolution.

    Args:
        channels_in: of the map.
        channels_out: of the doubled one.
        up: how; transposed convolutions weigh neighbouring pixels differently, which shows as a chequered pattern
            (Odena et al. 2016).
        bias: whether it has one; before a norm it would learn nothing.
        kernel_size: of the transposed convolution, 3 or 4.
    """
    if up == "nearest":
        return nn.Sequential(
            nn.UpsamplingNearest2d(scale_factor=2),
            nn.Conv2d(channels_in, channels_out, 3, padding=1, padding_mode="reflect", bias=bias),
        )
    return nn.ConvTranspose2d(channels_in, channels_out, kernel_size, 2, 1, output_padding=kernel_size % 2, bias=bias)
