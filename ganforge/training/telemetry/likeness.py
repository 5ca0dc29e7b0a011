"""How a small batch of fakes differs from one of reals, from the distances between their rows alone."""

import torch
from torch import Tensor
from torch.nn import functional

NEIGHBOUR = 3
"""A real sample is covered if a fake is as near as its third-nearest other real (Naeem et al. 2020 take the fifth)."""

NEAR = 0.2
"""A fake is a near-duplicate if another fake is nearer than this share of the usual distance between reals."""


SIDE = 32
"""Larger pictures are averaged down to this height and width: enough to see that two of them are the same."""


def rows_of(samples: Tensor) -> Tensor:
    """Samples `(count, *shape)` as rows `(count, features)`, float32, of small pictures where they are pictures."""
    samples = samples.float()
    if samples.dim() == 4 and max(samples.shape[2:]) > SIDE:
        samples = functional.adaptive_avg_pool2d(samples, SIDE)
    return samples.flatten(1)


def likeness(reals: Tensor, fakes: Tensor) -> dict[str, Tensor]:
    """Figures of one batch; scalars on its device.

    - `spread`: mean distance of two fakes as a share of the mean distance of two reals.
    - `duplicates`: share of fakes with a near-duplicate among the fakes, beyond the share of reals that have one.
    - `coverage`: share of reals that have a fake among their neighbours (Naeem et al. 2020, on one batch).

    Args:
        reals: `(count, features)` float32.
        fakes: `(count, features)` float32.
    """
    among_reals, among_fakes = torch.cdist(reals, reals), torch.cdist(fakes, fakes)
    usual = _mean_of_pairs(among_reals).clamp_min(1e-12)
    nearest_real = _without_self(among_reals).amin(dim=1)
    nearest_fake = _without_self(among_fakes).amin(dim=1)
    radius = _without_self(among_reals).kthvalue(min(NEIGHBOUR, len(reals) - 1), dim=1).values
    border = NEAR * nearest_real.median()
    has_twin = [(nearest < border).float().mean() for nearest in (nearest_fake, nearest_real)]
    return {
        "spread": _mean_of_pairs(among_fakes) / usual,
        "duplicates": (has_twin[0] - has_twin[1]).clamp_min(0.0),
        "coverage": (torch.cdist(reals, fakes).amin(dim=1) <= radius).float().mean(),
    }


def class_shares(reals: Tensor, labels: Tensor, fakes: Tensor, num_classes: int) -> Tensor:
    """Share of the fakes that look like each class, `(num_classes,)`: a fake's class is that of its nearest real."""
    nearest = torch.cdist(fakes, reals).argmin(dim=1)
    return functional.one_hot(labels[nearest], num_classes).float().mean(dim=0)


def _mean_of_pairs(distances: Tensor) -> Tensor:
    """Mean over all pairs of different rows."""
    count = len(distances)
    return distances.sum() / (count * (count - 1))


def _without_self(distances: Tensor) -> Tensor:
    return distances + torch.diag(torch.full((len(distances),), float("inf"), device=distances.device))
