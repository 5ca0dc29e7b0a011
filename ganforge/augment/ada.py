"""Adaptive discriminator augmentation: as much of it as the discriminator needs, and no more."""

from collections.abc import Callable
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ganforge.augment.base import Augmentation, Probability, require_pictures
from ganforge.augment.pipeline import COLOUR, GEOMETRY, Change, augmented
from ganforge.registry import register
from ganforge.spec import DataSpec


@register.augment("ada")
class ADA(Augmentation):
    """Changes each picture in many ways with a probability that follows D's overfitting (ADA, Karras et al. 2020).

    D overfits when its logits on real pictures are nearly all positive. Every few steps the mean of their signs,
    r_t, is compared with a target; above it the probability p of each change rises, below it p falls. Starting
    at 0, p stays there while there are enough pictures. The log has p and r_t; p and its counts are in checkpoints.

    All changes are on by default, as in the paper ("bgc"); leave out those that make another picture of the same
    class, such as flips and turns for digits. Over edges the picture is reflected; between pixels it is interpolated
    bilinearly.

    Args:
        spec: what a sample looks like; must be pictures.
        policy: which changes; always applied in the paper's order. Hue needs three channels, saturation more than one.
        target: target of r_t, the mean sign of D's logits on reals; 0.6 in the paper.
        interval: steps from one adjustment of p to the next; 4 in the paper.
        speed: images over which p rises from 0 to 1 if it never falls; 500,000 in the paper, fewer for short runs.
        initial: p at the start.
        limit: largest p; above 0.8 the changes may leak into what the generator makes (section 2.2 of the paper). The
            authors' code has none, and p takes as long to come back from above 1 as it took to get there.
    """

    probability: Tensor
    signs: Tensor
    mean_sign: Tensor

    needs_boundary_at_zero = True

    def __init__(
        self,
        spec: DataSpec,
        *,
        policy: tuple[Change, ...] = (*GEOMETRY, *COLOUR),
        target: Annotated[float, Field(gt=-1, lt=1)] = 0.6,
        interval: Annotated[int, Field(ge=1, le=1_000_000)] = 4,
        speed: Annotated[int, Field(ge=1, le=10**12)] = 500_000,
        initial: Probability = 0.0,
        limit: Probability = 1.0,
    ) -> None:
        super().__init__()
        require_pictures(spec)
        if initial > limit:
            raise ValueError(f"initial ({initial}) must not be above limit ({limit})")
        if not policy:
            raise ValueError("policy is empty; name at least one change")
        self.policy = frozenset(policy)
        self.target = target
        self.interval = interval
        self.speed = speed
        self.limit = limit
        self.register_buffer("probability", torch.tensor(float(initial)))
        self.register_buffer("signs", torch.zeros(2))  # the sum of the signs, and their number
        self.register_buffer("mean_sign", torch.tensor(0.0))

    @torch.no_grad()
    def begin_at(self, probability: float) -> None:
        """Go on from the strength that another training has reached, up to this one's `limit`."""
        self.probability.fill_(min(probability, self.limit))

    def forward(self, pictures: Tensor) -> Tensor:
        return augmented(pictures, self.probability, self.policy)

    @torch.no_grad()
    def observe(self, real_logits: Tensor) -> None:
        signs = real_logits.sign()
        self.signs += torch.stack(
            [signs.sum(dtype=torch.float32), signs.new_full((), signs.numel(), dtype=torch.float32)]
        )

    @torch.no_grad()
    def adapt(self, average: Callable[[Tensor], Tensor], step: int, batch_size: int) -> None:
        if step % self.interval:
            return
        total, count = average(self.signs).unbind()
        has_seen = count > 0  # false while the discriminator pauses
        self.mean_sign.copy_(torch.where(has_seen, total / count.clamp(min=1e-9), self.mean_sign))
        change = torch.sign(self.mean_sign - self.target) * (batch_size * self.interval / self.speed)
        self.probability.copy_((self.probability + change * has_seen).clamp(0, self.limit))
        self.signs.zero_()

    def figures(self) -> dict[str, Tensor]:
        return {"probability": self.probability, "mean_sign": self.mean_sign}
