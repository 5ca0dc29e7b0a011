"""The sizes of a network's maps, for pictures of any size: halved until both sides are small, odd ones rounded up."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torch import Tensor, nn

from ganforge.spec import DataSpec

SMALLEST, LARGEST = 2, 8
"""Sides of the smallest map."""
_MOST_HALVINGS = 20

Size = tuple[int, int]
Odd = tuple[bool, bool]
"""Whether height and width of the larger one of two maps are odd: twice the smaller one's, less one."""
EVEN: Odd = (False, False)


@dataclass(frozen=True)
class Maps:
    """The maps between a network's smallest one and the picture.

    Args:
        sizes: `(height, width)` of each, from the smallest to the picture's own; each side is half of the next one's,
            rounded up.
    """

    sizes: tuple[Size, ...]

    @property
    def start(self) -> Size:
        return self.sizes[0]

    @property
    def doublings(self) -> int:
        return len(self.sizes) - 1

    def odd(self, level: int) -> Odd:
        """Which sides of the map at a level are odd, 0 being the smallest map."""
        height, width = self.sizes[level]
        return height % 2 == 1, width % 2 == 1


def maps_of(spec: DataSpec, family: str) -> Maps:
    """The maps for pictures of this size.

    Sides are halved, at least once, while the longer one is 8 or more and the shorter one stays at 2 or above. So a
    square power of 2 ends at 4x4, and 28x28 at 7x7.

    Args:
        spec: what a sample looks like.
        family: name of the component, for messages.

    Raises:
        ValueError: the samples are no pictures, or of a size whose halvings do not end at sides of 2 to 8.
    """
    if not spec.is_image:
        raise ValueError(f"{family} makes pictures and these samples are {spec}: use 'mlp'")
    sizes = [(spec.height, spec.width)]
    while len(sizes) == 1 or (max(sizes[-1]) >= LARGEST and min(half_of(sizes[-1])) >= SMALLEST):
        sizes.append(half_of(sizes[-1]))
    if min(sizes[-1]) < SMALLEST or max(sizes[-1]) > LARGEST:
        near = nearest((spec.height, spec.width), map(_clamped(spec), range(1, _MOST_HALVINGS)))
        raise ValueError(
            f"{family} has pictures whose sides can be halved down to {SMALLEST} to {LARGEST}, both as often; these "
            f"are {spec.height}x{spec.width} (nearest: {near}): pack them again with `ganforge data pack --size`"
        )
    return Maps(tuple(reversed(sizes)))


def half_of(size: Size) -> Size:
    """Half of both sides, rounded up."""
    return -(-size[0] // 2), -(-size[1] // 2)


def nearest(size: Size, candidates: Iterable[Size]) -> str:
    """The nearest of the sizes that has no more rows and columns, and the nearest that has no fewer, in words."""
    height, width = size
    ordered = sorted(set(candidates), key=lambda other: (abs(other[0] - height) + abs(other[1] - width), other))
    smaller = [other for other in ordered if other[0] <= height and other[1] <= width]
    larger = [other for other in ordered if other[0] >= height and other[1] >= width]
    return " or ".join(f"{rows}x{columns}" for rows, columns in smaller[:1] + larger[:1])


def _clamped(spec: DataSpec) -> Callable[[int], Size]:
    """The nearest size whose halvings, so many of them, end at sides of 2 to 8."""

    def side(wanted: int, halvings: int) -> int:
        return min(max(wanted, ((SMALLEST - 1) << halvings) + 1), LARGEST << halvings)

    return lambda halvings: (side(spec.height, halvings), side(spec.width, halvings))


def strided_padding(kernel_size: int, odd: Odd) -> tuple[Size, Size]:
    """`padding` and `output_padding` of a convolution of stride 2 between a map and its half, rounded up.

    The transposed convolution takes both, the plain one the first. An odd side of the larger map loses a row of what
    would be an even one, or gains one on its way down.
    """
    padding = tuple((kernel_size - 1) // 2 + (is_odd and kernel_size % 2 == 0) for is_odd in odd)
    output_padding = tuple(int((kernel_size % 2 == 1) != is_odd) for is_odd in odd)
    return (padding[0], padding[1]), (output_padding[0], output_padding[1])


class NearestUpsample(nn.Module):
    """Doubles a map by copies of its pixels, and takes the last row or column off again where the side is odd.

    Args:
        odd: which sides of the doubled map are odd.
    """

    def __init__(self, odd: Odd) -> None:
        super().__init__()
        self.doubled = nn.Upsample(scale_factor=2.0)
        self.odd = odd

    def forward(self, maps: Tensor) -> Tensor:
        doubled = self.doubled(maps)
        if self.odd == EVEN:
            return doubled
        height, width = 2 * maps.shape[2] - self.odd[0], 2 * maps.shape[3] - self.odd[1]
        return doubled[:, :, :height, :width]
