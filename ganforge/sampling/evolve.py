"""How samples of the same latents changed during training, as a strip or a film."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from ganforge.arguments import argument
from ganforge.errors import GanforgeError
from ganforge.grid import cell_of
from ganforge.recipe import parse
from ganforge.run_files import RunFolder
from ganforge.sampling.film import enlarged, is_film, write_film, write_strip
from ganforge.saved.generator_file import read_config
from ganforge.spec import DataSpec
from ganforge.wording import counted

CAPTION = 22
FILM_SIDE = 256
STRIP_SIDE = 128


def write_evolution(run: Path, *, out: Path, indices: tuple[int, ...] = (), fps: float = 4.0, hold: float = 2.0) -> str:
    """The run's sample grids in the order of their steps, whole or some of their pictures, each with its step.

    Training writes a grid every `samples.every` steps, always of the averaged generator and the same latents. These
    grids are shown, so this works for every run, whichever checkpoints it kept.

    Args:
        run: run folder.
        out: `.gif`, `.mp4`, or a picture for a strip, in which each index is a row.
        indices: pictures of the grid to show, from 0; empty for the whole grid.
        fps: frames a second of a film.
        hold: seconds for which a film shows its last frame.

    Returns:
        what was written where.

    Raises:
        GanforgeError: there are no grids, or no such picture in them, or `out` cannot be written.
    """
    grids = _grids(run)
    steps = [step for step, _ in grids]
    rows = [[Image.open(path) for _, path in grids]]
    if indices:
        spec = read_config(run).spec
        num = parse(RunFolder(run).recipe)["samples"]["num"]
        rows = [[_cell(sheet, index, num, spec, run) for sheet in rows[0]] for index in indices]
    side = STRIP_SIDE if not is_film(out) else FILM_SIDE
    rows = [[enlarged(picture, side) if indices else picture for picture in row] for row in rows]
    if is_film(out):
        columns = map(_side_by_side, zip(*rows, strict=True))
        frames = [_captioned(column, f"step {step:,}") for step, column in zip(steps, columns, strict=True)]
        write_film([*frames, *[frames[-1]] * round(hold * fps)], out, fps)
    else:
        rows[-1] = [_captioned(picture, f"step {step:,}") for step, picture in zip(steps, rows[-1], strict=True)]
        rows[:-1] = [[ImageOps.expand(picture, (0, 0, 0, CAPTION)) for picture in row] for row in rows[:-1]]
        write_strip(rows, out)
    return f"{counted(len(steps), 'grid')} from step {steps[0]:,} to {steps[-1]:,} in {out}"


def _grids(run: Path) -> list[tuple[int, Path]]:
    """Step and file of each grid, in order.

    Raises:
        GanforgeError: the run has no grids.
    """
    files = RunFolder(run)
    found = files.sample_grids()
    if not found:
        raise GanforgeError(f"{run}: has no {files.any_sample_grid}; training writes one every samples.every steps")
    return sorted(found.items())


def _cell(sheet: Image.Image, index: int, num: int, spec: DataSpec, run: Path) -> Image.Image:
    """One picture of a grid at its original size.

    Raises:
        GanforgeError: the grid is not one of `num` pictures of this size, or has no such picture.
    """
    if not spec.is_image:
        raise GanforgeError(f"{run}: its samples are {spec}, plotted together; leave out {argument('indices')}")
    if index >= num:
        raise GanforgeError(f"{argument('indices', [index])}: the grids show {num} pictures, 0 to {num - 1}")
    cell = cell_of(sheet, index, num, (spec.height, spec.width))
    if cell is None:
        raise GanforgeError(
            f"{run}: a grid of {sheet.height}x{sheet.width} pixels does not show {num} pictures; was samples.num "
            f"changed on the way? Leave out {argument('indices')}"
        )
    return cell


def _side_by_side(pictures: Sequence[Image.Image]) -> Image.Image:
    row = Image.new("RGB", (sum(picture.width for picture in pictures), pictures[0].height))
    left = 0
    for picture in pictures:
        row.paste(picture, (left, 0))
        left += picture.width
    return row


def _captioned(picture: Image.Image, text: str) -> Image.Image:
    """A line of text below the picture."""
    page = Image.new("RGB", (picture.width, picture.height + CAPTION), "black")
    page.paste(picture, (0, 0))
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(size=14)
    draw.text((page.width / 2, picture.height + CAPTION / 2), text, fill="white", font=font, anchor="mm")
    return page
