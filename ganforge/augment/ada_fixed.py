"""ADA's changes with a probability that the recipe sets, for objectives that give the sign of logits no meaning."""

import torch
from torch import Tensor

from ganforge.augment.base import Augmentation, Probability, require_pictures
from ganforge.augment.pipeline import COLOUR, GEOMETRY, Change, augmented
from ganforge.registry import register
from ganforge.spec import DataSpec


@register.augment("ada_fixed")
class ADAFixed(Augmentation):
    """The changes of ADA, each with a probability that does not adapt (Karras et al. 2020, section 2.2).

    R3GAN (Huang et al. 2024) trains so, with a probability that rises from 0 to 0.3: `[[ramps]]` on
    `augment.N.probability`. Otherwise as `ada`.

    Args:
        spec: what a sample looks like; must be pictures.
        policy: which changes; always applied in the paper's order. Hue needs three channels, saturation more than one.
        probability: of each change; above 0.8 they may leak into what the generator makes.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        policy: tuple[Change, ...] = (*GEOMETRY, *COLOUR),
        probability: Probability = 0.2,
    ) -> None:
        super().__init__()
        require_pictures(spec)
        if not policy:
            raise ValueError("policy is empty; name at least one change")
        self.policy = frozenset(policy)
        self.probability = probability

    def forward(self, pictures: Tensor) -> Tensor:
        if self.probability == 0:
            return pictures
        return augmented(pictures, torch.full((), self.probability, device=pictures.device), self.policy)
