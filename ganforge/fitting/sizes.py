"""The size that pictures of many sizes are packed to."""

from collections.abc import Callable, Sequence
from statistics import median_low

ALIKE = 0.02
"""Proportions that differ by less are taken for the same: a row or two of a picture."""
ROUND = (16, 8, 4, 2, 1)
"""What sides are multiples of, the best first: the higher the power of 2, the smaller the map a network begins with."""
SMALLEST = 8


def packed_size(
    sizes: Sequence[tuple[int, int]], most: int, accepts: Callable[[int, int], bool]
) -> tuple[int, int, str]:
    """Height and width to pack to, and why.

    A size that all pictures have is kept if a network can make it. Otherwise the proportions are those of all pictures,
    or square if they differ; the size is such that a quarter of the pictures at most are enlarged.

    Args:
        sizes: heights and widths of pictures.
        most: side of a square of as many pixels as the machine can train on in a reasonable time.
        accepts: whether a network can make pictures of a height and a width.

    Raises:
        ValueError: no network can make any smaller size either.
    """
    first = sizes[0]
    is_one_size = all(size == first for size in sizes)
    fits = first[0] * first[1] <= most * most
    if is_one_size and fits and accepts(*first):
        return *first, "all pictures have it"
    ratios = [height / width for height, width in sizes]
    ratio = median_low(ratios)
    has_one_shape = all(abs(other / ratio - 1) <= ALIKE for other in ratios)
    areas = sorted((height * width if has_one_shape else min(height, width) ** 2) for height, width in sizes)
    area = min(areas[len(areas) // 4], most * most)
    width = (area / ratio) ** 0.5 if has_one_shape else area**0.5
    height = width * ratio if has_one_shape else width
    why = [
        "the proportions of all pictures" if has_one_shape else "square, since proportions differ: the centre is taken",
        f"as many pixels as {most}x{most} at most" if area == most * most else "a quarter of them is smaller at most",
        "and a size that a network can make",
    ]
    for multiple in ROUND:
        rows, columns = (max(SMALLEST, int(side + 0.01) // multiple * multiple) for side in (height, width))
        if accepts(rows, columns):
            return rows, columns, ", ".join(why)
    for side in range(int(min(height, width)), SMALLEST - 1, -1):
        if accepts(side, side):
            return side, side, f"the largest square below {height:.0f}x{width:.0f} that a network can make"
    raise ValueError(f"pictures of {first[0]}x{first[1]} are too small for any network; give larger ones")
