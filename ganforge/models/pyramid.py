"""The maps of a network that doubles a small map until it has the picture's size, or halves the picture down to it."""

from dataclasses import dataclass

from ganforge.models.sizes import Size, nearest
from ganforge.spec import DataSpec

SMALLEST = 4
LARGEST_START = 16 * 16
_MOST_HALVINGS = 20


@dataclass(frozen=True)
class Pyramid:
    """Maps from the smallest to the picture's size, each twice as high and wide as the one before.

    Args:
        start: height and width of the smallest map.
        widths: channels of each map.
    """

    start: tuple[int, int]
    widths: tuple[int, ...]

    @property
    def levels(self) -> range:
        return range(len(self.widths))

    def shape(self, level: int) -> tuple[int, int]:
        """Height and width of the map at a level, 0 for the smallest."""
        return self.start[0] << level, self.start[1] << level

    def name(self, level: int) -> str:
        """The block's name: that of a square picture of as many levels, so that weights pass between formats."""
        return f"b{SMALLEST << level}"


def pyramid_of(spec: DataSpec, family: str, *, channel_base: int, channel_max: int) -> Pyramid:
    """The maps for pictures of `(a, b) * 2^k`, halved while both sides are even and stay at 4 or above.

    A level has `channel_base / side` channels, at most `channel_max`, where `side` is 4, 8, ... whatever the format.

    Raises:
        ValueError: the samples are no pictures, or of a size that cannot be halved down to a small map.
    """
    if not spec.is_image:
        raise ValueError(f"{family} makes pictures and these samples are {spec}: use 'mlp'")
    (height, width), halvings = _halved(spec.height, spec.width)
    if halvings == 0 or height * width > LARGEST_START:
        rounded = (
            (rounding(spec.height, 1 << halvings), rounding(spec.width, 1 << halvings))
            for halvings in range(1, _MOST_HALVINGS)
            for rounding in (_rounded_down, _rounded_up)
        )
        near = nearest((spec.height, spec.width), (size for size in rounded if _fits(*size)))
        raise ValueError(
            f"{family} has pictures whose sides are a small number times a power of 2, from 8 on; these are "
            f"{spec.height}x{spec.width}, of which {halvings} halvings leave {height}x{width} (nearest: {near}): "
            "pack them again with `ganforge data pack --size`"
        )
    widths = tuple(min(channel_base // (SMALLEST << level), channel_max) for level in range(halvings + 1))
    if widths[-1] < 1:
        raise ValueError(f"channel_base = {channel_base} leaves no channel on a map of {spec.height}x{spec.width}")
    return Pyramid((height, width), widths)


def _halved(height: int, width: int) -> tuple[Size, int]:
    """A size after as many exact halvings as it has, and how many those are."""
    halvings = 0
    while height % 2 == 0 and width % 2 == 0 and min(height, width) >= 2 * SMALLEST:
        height, width, halvings = height // 2, width // 2, halvings + 1
    return (height, width), halvings


def _fits(height: int, width: int) -> bool:
    (height, width), halvings = _halved(height, width)
    return halvings > 0 and height * width <= LARGEST_START


def _rounded_down(side: int, factor: int) -> int:
    return max(SMALLEST, side // factor) * factor


def _rounded_up(side: int, factor: int) -> int:
    return max(SMALLEST, -(-side // factor)) * factor
