"""Gradient descent on latents or styles from several starts at once."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ganforge.arguments import argument
from ganforge.errors import GanforgeError
from ganforge.sampling.draw import config_of, looks_at_labels
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
    """

    steps: int = 300
    lr: float = 0.05
    restarts: int = 8
    seed: int = 0
    label: int | None = None
    batch_size: int = 256
    space: SpaceName = "auto"


@dataclass(frozen=True)
class Found:
    """The best latent of each picture, on the CPU.

    Args:
        latents: `(num, latent_dim)`; of styles `(num, 1, w_dim)`, or `(num, num_ws, w_dim)` in `w+`.
        labels: `(num,)` int64, or None without classes.
        samples: what the generator makes from the latents, `(num, *spec.shape)`.
        losses: `(num,)`.
    """

    latents: Tensor
    labels: Tensor | None
    samples: Tensor
    losses: Tensor


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
            generator has no styles to search in.
    """
    space = space_of(network, options.space)
    device = next(network.parameters()).device
    starts = num * options.restarts
    picture = torch.arange(num, device=device).repeat_interleave(options.restarts)
    labels = _start_labels(network, options, num)
    # The same starts for every picture, so that its result does not depend on the pictures beside it.
    own = None if labels is None else labels[: options.restarts]
    start = space.starts(options.restarts, options.seed, own)
    start = start.repeat(num, *(1 for _ in start.shape[1:]))
    chunks = range(0, starts, options.batch_size)
    moved, losses = [], []
    for number, at in enumerate(chunks):
        part = slice(at, at + options.batch_size)

        def report(step: int, number: int = number) -> None:
            if progress is not None:
                progress(number * options.steps + step, len(chunks) * options.steps)

        own_labels = None if labels is None else labels[part]
        latent, value = _descend(space, loss, start[part].clone(), picture[part], own_labels, options, report)
        moved.append(latent)
        losses.append(value)
    values = torch.cat(losses).view(num, options.restarts)
    if not bool(values.isfinite().any(dim=1).all()):
        raise GanforgeError(f"the loss is no longer finite; try a smaller {argument('lr')}")
    best = values.nan_to_num(math.inf).argmin(dim=1) + torch.arange(num, device=device) * options.restarts
    chosen = torch.cat(moved)[best]
    chosen_labels = None if labels is None else labels[best]
    with torch.no_grad():
        parts = chosen.split(options.batch_size)
        label_parts = [None] * len(parts) if chosen_labels is None else chosen_labels.split(options.batch_size)
        samples = torch.cat([space.samples(*pair).cpu() for pair in zip(parts, label_parts, strict=True)])
    return Found(
        chosen.cpu(), None if chosen_labels is None else chosen_labels.cpu(), samples, values.min(dim=1).values.cpu()
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


def _descend(
    space: Space,
    loss: Loss,
    latent: Tensor,
    picture: Tensor,
    labels: Tensor | None,
    options: SearchOptions,
    report: Callable[[int], None],
) -> tuple[Tensor, Tensor]:
    """Optimise one batch of latents; returns the final latents and their losses."""
    latent.requires_grad_(True)
    optimizer = torch.optim.Adam([latent], lr=options.lr, betas=(0.9, 0.99))
    for step in range(options.steps):
        for group in optimizer.param_groups:
            group["lr"] = options.lr * 0.5 * (1.0 + math.cos(math.pi * step / options.steps))
        values = loss(space.samples(latent, labels), picture, labels)
        optimizer.zero_grad()
        values.sum().backward()  # each latent sees the gradient of its own loss alone
        optimizer.step()
        with torch.no_grad():
            space.keep(latent)
        report(step + 1)
    with torch.no_grad():
        return latent.detach(), loss(space.samples(latent, labels), picture, labels)
