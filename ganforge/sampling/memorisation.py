"""The memorisation check of a run: figures, and a picture of the samples that look most like copies."""

import json
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ganforge.building.parts import build_dataset
from ganforge.data.dataset import Dataset
from ganforge.data.samples import real_samples
from ganforge.errors import GanforgeError
from ganforge.files import write_text
from ganforge.grid import shown_pixels, single
from ganforge.recipe import load_saved
from ganforge.run_files import RunFolder
from ganforge.sampling.draw import Sampler, open_generator
from ganforge.sampling.film import enlarged
from ganforge.sampling.neighbours import Neighbours, Reals

CELL = 64
GAP = 4
HEADER = 22
FIGURES = 96


def write_neighbours(
    run: Path,
    *,
    out: Path,
    num: int = 1024,
    show: int = 8,
    k: int = 6,
    limit: int = 0,
    seed: int = 0,
    averaged: bool = True,
) -> str:
    """Compare `num` samples with the run's training data, and show the `show` samples nearest to it.

    Args:
        run: run folder.
        out: picture; the figures go into a `.json` beside it.
        num: samples to judge.
        show: rows of the picture.
        k: training pictures in a row.
        limit: look at only so many training pictures, evenly spread; 0 for all.
        seed: seed of the latents.
        averaged: see `open_generator`.

    Returns:
        the figures as text.

    Raises:
        CheckpointError: there is no generator.
        GanforgeError: the run makes points, its data is gone, or `out` cannot be written.
    """
    network = open_generator(run, averaged=averaged)
    sampler = Sampler(network, seed)
    if not sampler.config.spec.is_image:
        raise GanforgeError(f"neighbours shows pictures, and this generator makes {sampler.config.spec}")
    dataset = build_dataset(load_saved(RunFolder(run).recipe))
    samples = sampler.many(num)
    reals = Reals(dataset, limit)
    found, usual = reals.neighbours(samples, k), reals.left_out(num)
    rows = found.ratio.argsort()[:show]
    figures = {"samples": _figures(found), "reals_left_out": _figures(usual), "num_reals": len(reals.ids), "seed": seed}
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        draw_neighbours(samples[rows], dataset, found, rows).save(out)
        write_text(out.with_suffix(".json"), json.dumps(figures, indent=2) + "\n")
    except (OSError, ValueError) as error:
        raise GanforgeError(f"{out}: cannot be written: {error}") from error
    return (
        f"distance to the nearest training picture, over that picture's own distance to the next:\n"
        f"  {num} samples        median {found.ratio.median():.2f}, smallest {found.ratio.min():.2f}, "
        f"above 1: {found.authenticity:.0%}\n"
        f"  {len(usual.ratio)} reals left out  median {usual.ratio.median():.2f}, smallest {usual.ratio.min():.2f}, "
        f"above 1: {usual.authenticity:.0%}\n"
        "copies have 0; samples well below what reals left out have are copied. "
        f"The nearest {len(rows)} are shown in {out}"
    )


def draw_neighbours(samples: Tensor, dataset: Dataset, found: Neighbours, rows: Tensor) -> Image.Image:
    """A row a sample: itself, its nearest training pictures, and the ratio of distances.

    Args:
        samples: `(len(rows), channels, height, width)` in [-1, 1].
        dataset: the training pictures.
        found: for all samples that were judged.
        rows: which of them `samples` are.
    """
    k = found.nearest.shape[1]
    first = enlarged(single(shown_pixels(samples[:1], dataset.spec.has_alpha)[0]), CELL)
    width, height = first.width + GAP, first.height + GAP
    page = Image.new("RGB", (width * (k + 1) + 3 * GAP + FIGURES, HEADER + height * len(rows) + GAP), "white")
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(size=13)
    middle = HEADER / 2
    beside = width + 3 * GAP
    draw.text((GAP, middle), "sample", fill="black", font=font, anchor="lm")
    draw.text((beside, middle), "nearest in the training data", fill="black", font=font, anchor="lm")
    draw.text((beside + k * width + GAP, middle), "distance ratio", fill="black", font=font, anchor="lm")
    for line, row in enumerate(rows.tolist()):
        top = HEADER + line * height
        near = real_samples(dataset, found.nearest[row].numpy())
        together = torch.cat([samples[line : line + 1], near])
        for column, pixels in enumerate(shown_pixels(together, dataset.spec.has_alpha)):
            left = GAP if column == 0 else beside + (column - 1) * width
            page.paste(enlarged(single(pixels), CELL).convert("RGB"), (left, top))
        text = f"{found.ratio[row]:.2f}"
        draw.text((beside + k * width + GAP, top + first.height / 2), text, fill="black", font=font, anchor="lm")
    return page


def _figures(found: Neighbours) -> dict[str, float]:
    return {
        "num": len(found.ratio),
        "ratio_median": float(found.ratio.median()),
        "ratio_smallest": float(found.ratio.min()),
        "authenticity": found.authenticity,
        "distance_median": float(found.distance[:, 0].median()),
    }
