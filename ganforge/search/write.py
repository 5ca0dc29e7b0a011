"""Filled and projected pictures in files."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ganforge.errors import GanforgeError
from ganforge.grid import picture_of, side_by_side, single, to_uint8
from ganforge.sampling.draw import config_of, find_class, open_generator, pick_device
from ganforge.sampling.film import enlarged, write_strip
from ganforge.sampling.translate import Translator
from ganforge.saved.generator_config import GeneratorConfig
from ganforge.saved.generator_file import load_generator, read_config
from ganforge.search.discriminator import load_discriminator
from ganforge.search.latents import Found, Progress, SearchOptions, search
from ganforge.search.losses import inpainting_loss, paste, projection_loss
from ganforge.search.pictures import output_names, read_mask, read_pictures

CELL = 96


def write_inpainted(
    run: Path,
    pictures: Sequence[Path],
    *,
    mask: str,
    out: Path,
    prior: float = 0.003,
    options: SearchOptions = SearchOptions(),
    class_name: str | None = None,
    progress: Progress | None = None,
) -> str:
    """Fill the holes of pictures by latent search (Yeh et al., Semantic Image Inpainting, 2017).

    Writes each filled picture under its own name, the latents, and an overview: as given, as the generator makes it,
    filled. The known pixels stay as they are and the holes come from the generator; the paper's Poisson blending of
    the seam is left out. A translator that was trained on pictures with holes (`[[degrade]] name = "box"` or `strokes`)
    fills them in one forward, without a search.

    Args:
        run: run folder.
        pictures: picture files.
        mask: see `read_mask`.
        out: folder.
        prior: weight of the discriminator's loss; 0 leaves it out.
        options: of the search.
        class_name: class of all pictures, for a conditional generator.
        progress: see `search`.

    Returns:
        what was written where.

    Raises:
        CheckpointError: the run lacks a generator or a checkpoint.
        GanforgeError: a picture cannot be read, or `out` cannot be written.
    """
    if (config := read_config(run)).source is not None:
        return _write_translated(run, config, pictures, mask, out)
    network, options = _open(run, options, class_name)
    spec = config_of(network).spec
    wanted, missing = read_pictures(pictures, spec), read_mask(mask, spec)
    device = next(network.parameters()).device
    discriminator = load_discriminator(run, spec, device) if prior > 0 else None
    holes = missing.expand(len(wanted), -1, -1, -1)
    loss = inpainting_loss(wanted.to(device), holes.to(device), discriminator, prior)
    found = search(network, loss, len(wanted), options, progress)
    filled = paste(found.samples, wanted, holes)
    given = torch.where(holes > 0.5, torch.zeros_like(wanted), wanted)
    names = output_names(pictures)
    _write(out, names, filled, found, [given, found.samples, filled])
    return f"{len(names)} filled pictures in {out}; overview.png shows given, generated, filled"


def _write_translated(run: Path, config: GeneratorConfig, pictures: Sequence[Path], mask: str, out: Path) -> str:
    """Holes filled by a translator, to which they are 0 as in its training.

    Raises:
        GanforgeError: it is given other pictures than it makes.
    """
    if config.source is None or config.source.shape != config.spec.shape:
        raise GanforgeError(
            f"{run}: makes pictures of {config.spec} of pictures of {config.source}; holes are filled by a "
            'translator whose sources are targets with holes: [[degrade]] name = "box" or "strokes"'
        )
    wanted, missing = read_pictures(pictures, config.spec), read_mask(mask, config.spec)
    holes = missing.expand(len(wanted), -1, -1, -1)
    given = torch.where(holes > 0.5, torch.zeros_like(wanted), wanted)
    made = Translator(load_generator(run, pick_device()))(given)
    filled, names = paste(made, wanted, holes), output_names(pictures)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, pixels in zip(names, to_uint8(filled).numpy(), strict=True):
            single(pixels).save(out / f"{name}.png")
        picture_of(side_by_side([given, made, filled])).save(out / "overview.png")
    except OSError as error:
        raise GanforgeError(f"{out}: cannot be written: {error}") from error
    return f"{len(names)} filled pictures in {out}; overview.png shows given, generated, filled"


def write_projected(
    run: Path,
    pictures: Sequence[Path],
    *,
    out: Path,
    options: SearchOptions = SearchOptions(),
    class_name: str | None = None,
    progress: Progress | None = None,
) -> str:
    """Find the latents whose samples are nearest to pictures, by mean squared difference.

    Writes each nearest sample and its latent under the picture's name, and an overview: as given, as generated; of a
    search for noise, the maps as well, by the names of the buffers that they stand in for (`.noise.npz`).

    Args:
        run: run folder, generator file, or hub name.
        pictures: files.
        out: folder.
        options: of the search.
        class_name: class of all pictures, for a conditional generator.
        progress: see `search`.

    Returns:
        what was written where, with the remaining error of each.

    Raises:
        CheckpointError: there is no generator.
        GanforgeError: a picture cannot be read, or `out` cannot be written.
    """
    network, options = _open(run, options, class_name)
    wanted = read_pictures(pictures, config_of(network).spec)
    device = next(network.parameters()).device
    found = search(network, projection_loss(wanted.to(device)), len(wanted), options, progress)
    names = output_names(pictures)
    _write(out, names, found.samples, found, [wanted, found.samples])
    errors = (255.0 / 2.0 * found.losses.sqrt()).tolist()
    lines = [f"  {name}: {error:.1f} of 255 (root mean square)" for name, error in zip(names, errors, strict=True)]
    return "\n".join([f"{len(names)} nearest pictures and latents in {out}, off by", *lines])


def _open(run: str | Path, options: SearchOptions, class_name: str | None) -> tuple[nn.Module, SearchOptions]:
    network = open_generator(run)
    if class_name is not None:
        options = replace(options, label=find_class(network, class_name))
    return network, options


def _write(out: Path, names: Sequence[str], results: Tensor, found: Found, columns: Sequence[Tensor]) -> None:
    """Each result and its latent under its name, and an overview with a row a picture."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, pixels, latent in zip(names, to_uint8(results).numpy(), found.latents.numpy(), strict=True):
            single(pixels).save(out / f"{name}.png")
            np.save(out / f"{name}.npy", latent)
        for row, name in enumerate(names if found.noise else []):
            arrays: dict[str, Any] = {layer: maps[row, 0].numpy() for layer, maps in found.noise.items()}
            np.savez(out / f"{name}.noise.npz", **arrays)
    except OSError as error:
        raise GanforgeError(f"{out}: cannot be written: {error.strerror or error}") from error
    shown = [to_uint8(column).numpy() for column in columns]
    rows: list[list[Image.Image]] = [
        [enlarged(single(column[row]), CELL) for column in shown] for row in range(len(names))
    ]
    write_strip(rows, out / "overview.png")
