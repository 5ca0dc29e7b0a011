"""Gradient descent on latents from several starts at once."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ganforge.errors import GanforgeError
from ganforge.game.latents import latents
from ganforge.game.networks import latent_dim_of, latent_distribution_of
from ganforge.sampling.draw import config_of, looks_at_labels

Loss = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""Samples `(batch, *spec.shape)`, which picture each belongs to `(batch,)`, labels or None, to losses `(batch,)`."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class SearchOptions:
    """How latents are searched for.

    Args:
        steps: of Adam.
        lr: its learning rate at the start; it falls to 0 by half a cosine.
        restarts: latents that each picture starts from; the one with the smallest loss is kept.
        seed: of the starts.
        label: class of all pictures; None to spread the starts over the classes of a conditional generator.
        batch_size: latents moved at a time.
    """

    steps: int = 300
    lr: float = 0.05
    restarts: int = 8
    seed: int = 0
    label: int | None = None
    batch_size: int = 256


@dataclass(frozen=True)
class Found:
    """The best latent of each picture, on the CPU.

    Args:
        latents: `(num, latent_dim)`.
        labels: `(num,)` int64, or None without classes.
        samples: what the generator makes of them, `(num, *spec.shape)`.
        losses: `(num,)`.
    """

    latents: Tensor
    labels: Tensor | None
    samples: Tensor
    losses: Tensor


def search(network: nn.Module, loss: Loss, num: int, options: SearchOptions, progress: Progress | None = None) -> Found:
    """Latents of the generator with small losses, one a picture.

    Normal latents stay in the ball of radius sqrt(latent_dim), near whose surface nearly all latents lie that the
    generator was trained on, and uniform ones in their cube: outside, a generator can be made to show anything.

    Args:
        network: generator in evaluation mode.
        loss: of samples, given which picture each is for.
        num: pictures.
        options: of the search.
        progress: called with steps done and steps in all.

    Raises:
        GanforgeError: the loss is not finite, whatever the start; or there are fewer starts than classes to try.
    """
    device = next(network.parameters()).device
    starts = num * options.restarts
    picture = torch.arange(num, device=device).repeat_interleave(options.restarts)
    dim, distribution = latent_dim_of(network), latent_distribution_of(network)
    # The same starts for every picture, so that its result does not depend on the pictures beside it.
    start = latents(options.seed, "search", 0, range(options.restarts), dim, distribution, device).repeat(num, 1)
    labels = _start_labels(network, options, num)
    chunks = range(0, starts, options.batch_size)
    moved, losses = [], []
    for number, at in enumerate(chunks):
        part = slice(at, at + options.batch_size)

        def report(step: int, number: int = number) -> None:
            if progress is not None:
                progress(number * options.steps + step, len(chunks) * options.steps)

        own_labels = None if labels is None else labels[part]
        latent, value = _descend(
            network, loss, start[part].clone(), picture[part], own_labels, distribution, options, report
        )
        moved.append(latent)
        losses.append(value)
    values = torch.cat(losses).view(num, options.restarts)
    if not bool(values.isfinite().any(dim=1).all()):
        raise GanforgeError("the search left the finite numbers; try a smaller --lr")
    best = values.nan_to_num(math.inf).argmin(dim=1) + torch.arange(num, device=device) * options.restarts
    chosen = torch.cat(moved)[best]
    chosen_labels = None if labels is None else labels[best]
    with torch.no_grad():
        parts = chosen.split(options.batch_size)
        label_parts = [None] * len(parts) if chosen_labels is None else chosen_labels.split(options.batch_size)
        samples = torch.cat([network(*pair).float().cpu() for pair in zip(parts, label_parts, strict=True)])
    return Found(
        chosen.cpu(), None if chosen_labels is None else chosen_labels.cpu(), samples, values.min(dim=1).values.cpu()
    )


def _start_labels(network: nn.Module, options: SearchOptions, num: int) -> Tensor | None:
    """A label a start, `(num * restarts,)`: the one asked for, or all in turn.

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
            f"{options.restarts} starts do not reach all {classes} classes of this generator; choose one with --class, "
            f"or set --restarts {classes} or more"
        )
    return (torch.arange(options.restarts, device=device) % classes).repeat(num)


def _descend(
    network: nn.Module,
    loss: Loss,
    latent: Tensor,
    picture: Tensor,
    labels: Tensor | None,
    distribution: str,
    options: SearchOptions,
    report: Callable[[int], None],
) -> tuple[Tensor, Tensor]:
    """Move one batch of latents; the latents and their losses at the end."""
    latent.requires_grad_(True)
    optimizer = torch.optim.Adam([latent], lr=options.lr, betas=(0.9, 0.99))
    for step in range(options.steps):
        for group in optimizer.param_groups:
            group["lr"] = options.lr * 0.5 * (1.0 + math.cos(math.pi * step / options.steps))
        values = loss(network(latent, labels).float(), picture, labels)
        optimizer.zero_grad()
        values.sum().backward()  # each latent sees the gradient of its own loss alone
        optimizer.step()
        with torch.no_grad():
            if distribution == "uniform":
                latent.clamp_(-1.0, 1.0)
            else:
                latent.mul_((latent.shape[1] ** 0.5 / latent.norm(dim=1, keepdim=True)).clamp(max=1.0))
        report(step + 1)
    with torch.no_grad():
        return latent.detach(), loss(network(latent, labels).float(), picture, labels)
