"""DiffAugment: three differentiable changes, always on."""

from typing import Literal

from torch import Tensor, nn

from ganforge.augment.base import Augmentation, require_pictures
from ganforge.augment.colour import Color
from ganforge.augment.cutout import Cutout
from ganforge.augment.geometry import Translate
from ganforge.registry import register
from ganforge.spec import DataSpec

_PARTS = {"color": Color, "translation": Translate, "cutout": Cutout}


@register.augment("diffaugment")
class DiffAugment(Augmentation):
    """Color, translation and cutout on every picture, differentiably (DiffAugment, Zhao et al. 2020).

    Made for few pictures: D can no longer learn the real ones by heart. The paper's settings: all three for 100 to
    1,000 pictures, color and cutout for CIFAR-10, translation and cutout for 10% of it. For other strengths list
    `color`, `translate` and `cutout` by themselves.

    Args:
        spec: what a sample looks like; must be pictures.
        policy: which changes, applied in this order; the paper's three.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        policy: tuple[Literal["color", "translation", "cutout"], ...] = ("color", "translation", "cutout"),
    ) -> None:
        super().__init__()
        require_pictures(spec)
        if len(set(policy)) < len(policy):
            raise ValueError(f"policy names a change twice: {', '.join(policy)}")
        self.changes = nn.Sequential(*(_PARTS[name](spec) for name in policy))

    def forward(self, pictures: Tensor) -> Tensor:
        return self.changes(pictures)
