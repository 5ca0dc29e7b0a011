"""Samples as one picture for people: a grid of pictures, or a plot of points."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional

BORDER = 2
PLOT_SIZE = 480
MIN_GRID_SIZE = 480


def to_uint8(samples: Tensor) -> Tensor:
    """Pictures in [-1, 1] to uint8 `(batch, height, width, channels)` on the CPU."""
    scaled = samples.detach().float().add(1.0).mul(127.5).round().clamp(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).cpu()


def picture_of(samples: Tensor, reals: Tensor | None = None, *, has_alpha: bool = False) -> Image.Image:
    """A grid of pictures `(batch, channels, height, width)`, or a plot of points `(batch, dimensions)`.

    Args:
        samples: to show; of points, the first two dimensions.
        reals: real points, drawn in grey below the others; sets the plot's limits.
        has_alpha: whether the last channel of pictures is opacity; they are then shown over a checkerboard.
    """
    return _grid(samples, has_alpha) if samples.dim() == 4 else _plot(samples, reals)


def side_by_side(columns: Sequence[Tensor]) -> Tensor:
    """Pictures of several kinds as one each, `(batch, 1 or 3, height, width)`: the first, second, ... from the left.

    Args:
        columns: `(batch, channels, height, width)` in [-1, 1], of any channels and sizes; smaller ones are enlarged,
            each pixel repeated.
    """
    height, width = (max(pictures.shape[dim] for pictures in columns) for dim in (2, 3))
    channels = 3 if any(pictures.shape[1] >= 3 for pictures in columns) else 1
    shown: list[Tensor] = []
    for pictures in columns:
        pictures = pictures.detach().float().cpu()
        if pictures.shape[2:] != (height, width):
            pictures = functional.interpolate(pictures, size=(height, width))
        pictures = pictures[:, :3] if pictures.shape[1] >= 3 else pictures[:, :1].expand(-1, channels, -1, -1)
        shown.append(pictures)
    return torch.cat(shown, dim=3)


def single(pixels: np.ndarray) -> Image.Image:
    """One picture from uint8 `(height, width, channels)` of one, three or four channels; else its first channel."""
    channels = pixels.shape[-1]
    return Image.fromarray(pixels if channels in (3, 4) else np.ascontiguousarray(pixels[..., 0]))


def shown_pixels(samples: Tensor, has_alpha: bool) -> np.ndarray:
    """Pictures in [-1, 1] as people are shown them, see `for_people`."""
    return for_people(to_uint8(samples).numpy(), has_alpha)


def for_people(pixels: np.ndarray, has_alpha: bool) -> np.ndarray:
    """uint8 pictures `(batch, height, width, channels)` in one or three channels.

    What is transparent lets a checkerboard through. Of more channels than three, the first three are shown; of two, the
    first.
    """
    if has_alpha:
        colours, opacity = pixels[..., :-1].astype(np.float32), pixels[..., -1:].astype(np.float32) / 255
        board = checkerboard(*pixels.shape[1:3])[..., None]
        pixels = np.rint(colours * opacity + board * (1 - opacity)).astype(np.uint8)
    return pixels[..., :3] if pixels.shape[-1] >= 3 else pixels[..., :1]


def checkerboard(height: int, width: int) -> np.ndarray:
    """White and light grey squares, about eight along the shorter side, uint8 `(height, width)`."""
    side = max(2, min(height, width) // 8)
    rows, columns = np.arange(height)[:, None] // side, np.arange(width)[None, :] // side
    return np.where((rows + columns) % 2 == 0, 255, 204).astype(np.uint8)


def _grid(samples: Tensor, has_alpha: bool) -> Image.Image:
    """As square as it gets, each pixel a whole number of pixels, so that small pictures can be seen."""
    pixels = shown_pixels(samples, has_alpha)
    count, height, width, channels = pixels.shape
    columns, (sheet_width, sheet_height), scale = _layout(count, height, width)
    sheet = np.zeros((sheet_height, sheet_width, channels), np.uint8)
    for index, picture in enumerate(pixels):
        left, top = _place(index, columns, height, width)
        sheet[top : top + height, left : left + width] = picture
    grid = single(sheet)
    return grid.resize((grid.width * scale, grid.height * scale), Image.Resampling.NEAREST)


def cell_of(grid: Image.Image, index: int, count: int, size: tuple[int, int]) -> Image.Image | None:
    """One picture of a grid that `picture_of` made, in its own size; None if the grid is not one of such pictures.

    Args:
        grid: the whole picture.
        index: of the picture in the grid.
        count: pictures in the grid.
        size: `(height, width)` of each.
    """
    columns, (sheet_width, sheet_height), scale = _layout(count, *size)
    if grid.size != (sheet_width * scale, sheet_height * scale):
        return None
    left, top = _place(index, columns, *size)
    cell = grid.crop((left * scale, top * scale, (left + size[1]) * scale, (top + size[0]) * scale))
    return cell.resize((size[1], size[0]), Image.Resampling.NEAREST)


def _layout(count: int, height: int, width: int) -> tuple[int, tuple[int, int], int]:
    """Columns of a grid, its (width, height) before it is enlarged, and how many times it is."""
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    sheet = (columns * (width + BORDER) + BORDER, rows * (height + BORDER) + BORDER)
    return columns, sheet, max(1, round(MIN_GRID_SIZE / sheet[0]))


def _place(index: int, columns: int, height: int, width: int) -> tuple[int, int]:
    """Left and top of a picture in a grid."""
    return BORDER + (index % columns) * (width + BORDER), BORDER + (index // columns) * (height + BORDER)


def _plot(points: Tensor, reals: Tensor | None) -> Image.Image:
    drawn = points.detach().float().cpu()[:, :2]
    shown = reals.float().cpu()[:, :2] if reals is not None else drawn
    limit = 1.2 * float(shown.abs().max())
    plot = Image.new("RGB", (PLOT_SIZE, PLOT_SIZE), "white")
    draw = ImageDraw.Draw(plot)
    for cloud, colour in ((reals, (200, 200, 200)), (drawn, (200, 60, 20))):
        if cloud is None:
            continue
        where = (cloud.float().cpu()[:, :2] * torch.tensor([1.0, -1.0]) / limit + 1.0) * (PLOT_SIZE / 2)
        for x, y in where.tolist():
            draw.ellipse((x - 1.5, y - 1.5, x + 1.5, y + 1.5), fill=colour)
    return plot
