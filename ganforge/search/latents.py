"""Gradient descent on latents or styles from several starts at once."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ganforge.arguments import argument
from ganforge.errors import GanforgeError
from ganforge.sampling.draw import config_of, looks_at_labels
from ganforge.search.noise import NoiseMaps, regularity, standardise
from ganforge.search.spaces import Space, SpaceName, space_of

Loss = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""Samples `(batch, *spec.shape)`, which picture each belongs to `(batch,)`, labels or None, to losses `(batch,)`."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class SearchOptions:
    """How latents are searched for.

    Args:
        steps: steps of Adam.
        lr: its learning rate at the start; it falls to 0 by half a cosine.
        restarts: latents that each picture starts from; the one with the smallest loss is kept.
        seed: seed of the starts.
        label: class of all pictures; None to spread the starts over the classes of a conditional generator.
        batch_size: latents moved at a time.
        space: `z` for latents, `w` for one style, `w+` for a style a layer; `auto` for `w` where there are styles.
        optimise_noise: search for the noise maps as well, which reaches details that no style does.
        noise_weight: what keeps the picture out of them, see `regularity`. The paper's 1e5 belongs to perceptual
            distances at 1024x1024; beside the mean squared difference of 16x16 pixels it leaves the noise nothing to
            learn, where 0.1 costs 1.7 of 30 dB and takes the likeness of neighbours from 0.26 to 0.0001.
        exploration: noise on the styles in the first three quarters of the steps, as a share of their deviation, which
            falls to 0; 0.05 in the paper (Karras et al. 2020, appendix D).
    """

    steps: int = 300
    lr: float = 0.05
    restarts: int = 8
    seed: int = 0
    label: int | None = None
    batch_size: int = 256
    space: SpaceName = "auto"
    optimise_noise: bool = False
    noise_weight: float = 0.1
    exploration: float = 0.0


@dataclass(frozen=True)
class Found:
    """The best latent of each picture, on the CPU.

    Args:
        latents: `(num, latent_dim)`; of styles `(num, 1, w_dim)`, or `(num, num_ws, w_dim)` in `w+`.
        labels: `(num,)` int64, or None without classes.
        samples: what the generator makes from the latents, `(num, *spec.shape)`.
        losses: `(num,)`.
        noise: the noise maps that were found, `(num, 1, height, width)` by the names of their buffers.
    """

    latents: Tensor
    labels: Tensor | None
    samples: Tensor
    losses: Tensor
    noise: dict[str, Tensor] = field(default_factory=dict)


def search(network: nn.Module, loss: Loss, num: int, options: SearchOptions, progress: Progress | None = None) -> Found:
    """Latents, or styles, of the generator with small losses, one a picture.

    Normal latents stay in the ball of radius sqrt(latent_dim), near whose surface nearly all latents lie that the
    generator was trained on, and uniform ones in their cube: outside, a generator can be made to show anything.

    Args:
        network: generator in evaluation mode.
        loss: loss of samples, given which picture each is for.
        num: number of pictures.
        options: options of the search.
        progress: called with steps done and steps in all.

    Raises:
        GanforgeError: the loss is not finite, whatever the start; or there are fewer starts than classes to try; or the
            generator has no styles to search in, or no noise.
    """
    space = space_of(network, options.space)
    noise = NoiseMaps(network) if options.optimise_noise else None
    deviation = options.exploration * space.deviation(options.seed) if options.exploration > 0 else 0.0
    device = next(network.parameters()).device
    starts = num * options.restarts
    picture = torch.arange(num, device=device).repeat_interleave(options.restarts)
    labels = _start_labels(network, options, num)
    # The same starts for every picture, so that its result does not depend on the pictures beside it.
    own = None if labels is None else labels[: options.restarts]
    start = space.starts(options.restarts, options.seed, own)
    start = start.repeat(num, *(1 for _ in start.shape[1:]))
    chunks = range(0, starts, options.batch_size)
    moved, losses, heard = [], [], []
    for number, at in enumerate(chunks):
        part = slice(at, at + options.batch_size)

        def report(step: int, number: int = number) -> None:
            if progress is not None:
                progress(number * options.steps + step, len(chunks) * options.steps)

        own_labels = None if labels is None else labels[part]
        codes = Codes(start[part].clone(), noise, deviation)
        value = _descend(space, loss, codes, picture[part], own_labels, options, report)
        moved.append(codes.latent.detach())
        heard.append([maps.detach() for maps in codes.maps])
        losses.append(value)
    values = torch.cat(losses).view(num, options.restarts)
    if not bool(values.isfinite().any(dim=1).all()):
        raise GanforgeError(f"the loss is no longer finite; try a smaller {argument('lr')}")
    best = values.nan_to_num(math.inf).argmin(dim=1) + torch.arange(num, device=device) * options.restarts
    chosen = torch.cat(moved)[best]
    chosen_labels = None if labels is None else labels[best]
    chosen_maps = {} if noise is None else noise.named([torch.cat(maps)[best] for maps in zip(*heard, strict=True)])
    with torch.no_grad():
        samples = []
        for at in range(0, num, options.batch_size):
            part = slice(at, at + options.batch_size)
            own = {name: maps[part] for name, maps in chosen_maps.items()}
            samples.append(
                space.samples(chosen[part], None if chosen_labels is None else chosen_labels[part], own).cpu()
            )
    return Found(
        chosen.cpu(),
        None if chosen_labels is None else chosen_labels.cpu(),
        torch.cat(samples),
        values.min(dim=1).values.cpu(),
        {name: maps.cpu() for name, maps in chosen_maps.items()},
    )


def _start_labels(network: nn.Module, options: SearchOptions, num: int) -> Tensor | None:
    """Labels of all starts, `(num * restarts,)`: the class asked for, or all classes in turn.

    Raises:
        GanforgeError: there are too few starts for all classes.
    """
    classes = config_of(network).spec.num_classes
    if classes == 0:
        return None
    device = next(network.parameters()).device
    if options.label is not None:
        return torch.full((num * options.restarts,), options.label, dtype=torch.int64, device=device)
    if not looks_at_labels(network):
        return torch.zeros(num * options.restarts, dtype=torch.int64, device=device)
    if options.restarts < classes:
        raise GanforgeError(
            f"{options.restarts} starts do not cover all {classes} classes of this generator; choose one with "
            f"{argument('class_name')}, or set {argument('restarts', classes)} or more"
        )
    return (torch.arange(options.restarts, device=device) % classes).repeat(num)


class Codes:
    """What is moved together: a batch of latents or styles, and their noise maps.

    Args:
        latent: `(batch, ...)`.
        noise: maps to move as well; None to leave the generator's own.
        deviation: of the noise that latents get at the first step.
    """

    def __init__(self, latent: Tensor, noise: NoiseMaps | None, deviation: float) -> None:
        self.latent = latent.requires_grad_(True)
        self.maps = [] if noise is None else [maps.requires_grad_(True) for maps in noise.starts(len(latent))]
        self._noise, self._deviation = noise, deviation

    @property
    def noise(self) -> dict[str, Tensor]:
        """The maps by name; empty for the generator's own."""
        return {} if self._noise is None else self._noise.named(self.maps)

    def explored(self, done: float, random: torch.Generator) -> Tensor:
        """The latents moved about, less and less until three quarters of the search are done."""
        scale = self._deviation * max(0.0, 1.0 - done / 0.75) ** 2
        if scale == 0.0:
            return self.latent
        return self.latent + scale * torch.randn(self.latent.shape, generator=random).to(self.latent)


def _descend(
    space: Space,
    loss: Loss,
    codes: Codes,
    picture: Tensor,
    labels: Tensor | None,
    options: SearchOptions,
    report: Callable[[int], None],
) -> Tensor:
    """Optimise one batch of codes in place; returns their losses."""
    optimizer = torch.optim.Adam([codes.latent, *codes.maps], lr=options.lr, betas=(0.9, 0.99))
    random = torch.Generator().manual_seed(options.seed)
    for step in range(options.steps):
        for group in optimizer.param_groups:
            group["lr"] = options.lr * 0.5 * (1.0 + math.cos(math.pi * step / options.steps))
        latent = codes.explored(step / options.steps, random)
        values = loss(space.samples(latent, labels, codes.noise), picture, labels)
        if codes.maps:
            values = values + options.noise_weight * regularity(codes.maps)
        optimizer.zero_grad()
        values.sum().backward()  # each latent sees the gradient of its own loss alone
        optimizer.step()
        with torch.no_grad():
            space.keep(codes.latent)
        standardise(codes.maps)
        report(step + 1)
    with torch.no_grad():
        return loss(space.samples(codes.latent, labels, codes.noise), picture, labels)
