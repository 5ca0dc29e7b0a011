"""Walks between latents, as strips and films."""

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from ganforge.errors import GanforgeError
from ganforge.grid import picture_of, shown_pixels, single
from ganforge.models.style_space import StyledGenerator
from ganforge.sampling.draw import BATCH, Sampler, open_generator, sampler_of
from ganforge.sampling.film import enlarged, is_film, write_film, write_table
from ganforge.wording import counted

FILM_SIDE = 256
NEARLY_PARALLEL = 1e-4


def slerp(start: Tensor, end: Tensor, amounts: Tensor) -> Tensor:
    """Along the great circle from one latent to another (Shoemake 1985; White, Sampling Generative Networks, 2016).

    A straight line between two normal latents passes nearer to the origin than any latent that a generator has seen;
    on the circle the length changes evenly from that of the start to that of the end.

    Args:
        start: `(batch, latent_dim)`.
        end: `(batch, latent_dim)`.
        amounts: `(steps,)`, 0 is the start and 1 the end.

    Returns:
        `(steps, batch, latent_dim)`.
    """
    amounts = amounts.to(start)[:, None, None]
    lengths = start.norm(dim=-1, keepdim=True), end.norm(dim=-1, keepdim=True)
    directions = start / lengths[0], end / lengths[1]
    angle = (directions[0] * directions[1]).sum(dim=-1, keepdim=True).clamp(-1.0, 1.0).acos()
    sine = angle.sin()
    on_circle = (((1 - amounts) * angle).sin() * directions[0] + (amounts * angle).sin() * directions[1]) / sine.clamp(
        min=NEARLY_PARALLEL
    )
    direction = torch.where(sine < NEARLY_PARALLEL, torch.lerp(*directions, amounts), on_circle)
    return direction * torch.lerp(*lengths, amounts)


def between(start: Tensor, end: Tensor, amounts: Tensor, distribution: str = "normal") -> Tensor:
    """Latents on the way, `(steps, batch, latent_dim)`: `slerp` for normal ones, a straight line for uniform ones.

    Straight lines stay within the cube of uniform latents, and circles leave it.
    """
    if distribution == "uniform":
        return torch.lerp(start, end, amounts.to(start)[:, None, None])
    return slerp(start, end, amounts)


def _leg(sampler: Sampler, start: Tensor, end: Tensor, amounts: Tensor) -> Tensor:
    """Styles from one stop to the next, on a straight line, since the mapping has straightened the space."""
    if isinstance(sampler.network, StyledGenerator):
        return torch.lerp(start, end, amounts.to(start).view(-1, *(1 for _ in start.shape)))
    return between(start, end, amounts, sampler.distribution)


def walk(sampler: Sampler, *, walks: int, stops: int, frames: int, loop: bool) -> Tensor:
    """Pictures along walks through latents, or styles where there are some, of the first `walks * stops` samples.

    Args:
        sampler: sampler of pictures.
        walks: how many walks, side by side; walk w stops at samples w * stops, w * stops + 1, ...
        stops: latents that a walk passes through.
        frames: steps from one stop to the next.
        loop: walk back to the first stop at the end.

    Returns:
        `(length, walks, channels, height, width)` on the CPU; a loop leaves out its last frame, which is its first.
    """
    latents = sampler.latents(range(walks * stops))
    labels = sampler.labels(range(walks))
    network = sampler.network
    with torch.no_grad():
        if isinstance(network, StyledGenerator):
            stations = network.styles(latents, None if labels is None else labels.repeat_interleave(stops))
        else:
            stations = latents
        stations = stations.view(walks, stops, *stations.shape[1:]).transpose(0, 1)
        amounts = torch.arange(frames, dtype=torch.float64, device=stations.device) / frames
        legs = [*range(stops - 1), *([stops - 1] if loop else [])]
        parts = [_leg(sampler, stations[leg], stations[(leg + 1) % stops], amounts) for leg in legs]
        path = torch.cat([*parts, *([] if loop else [stations[-1:]])])
        length = len(path)
        flat = path.flatten(0, 1)
        all_labels = None if labels is None else labels.repeat(length)
        made = []
        for at in range(0, len(flat), BATCH):
            part, own = flat[at : at + BATCH], None if all_labels is None else all_labels[at : at + BATCH]
            shown = network.pictures(part) if isinstance(network, StyledGenerator) else network(part, own)
            made.append(shown.float().cpu())
    return torch.cat(made).view(length, walks, *sampler.config.spec.shape)


def write_walk(
    run: str | Path,
    *,
    out: Path,
    seed: int = 0,
    walks: int = 1,
    stops: int = 5,
    frames: int = 8,
    fps: float = 12.0,
    loop: bool = False,
    averaged: bool = True,
    truncation: float | None = None,
    psi: float | None = None,
    class_name: str | None = None,
) -> str:
    """Walk and write a strip, a row a walk, or a film, by the ending of `out`.

    Returns:
        what was written where.

    Raises:
        CheckpointError: there is no such generator.
        GanforgeError: it makes points, `out` cannot be written, or there is no such class or truncation.
    """
    network = open_generator(run, averaged=averaged)
    sampler = sampler_of(network, seed, truncation=truncation, psi=psi, class_name=class_name)
    if not sampler.config.spec.is_image:
        raise GanforgeError(f"interpolate shows pictures, and this generator makes {sampler.config.spec}")
    has_alpha = sampler.config.spec.has_alpha
    pictures = walk(sampler, walks=walks, stops=stops, frames=frames, loop=loop)
    if is_film(out):
        shown = [_frame(step, has_alpha) for step in pictures]
        write_film(shown, out, fps)
        return f"{counted(len(shown), 'frame')} of {counted(walks, 'walk')} through {stops} latents in {out}"
    write_table(pictures.transpose(0, 1), out, has_alpha)
    return f"{counted(len(pictures), 'step')} of {counted(walks, 'walk')} through {stops} latents in {out}"


def _frame(step: Tensor, has_alpha: bool) -> Image.Image:
    if len(step) > 1:
        return picture_of(step, has_alpha=has_alpha)
    return enlarged(single(shown_pixels(step, has_alpha)[0]), FILM_SIDE)
