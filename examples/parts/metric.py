"""A metric: figures about generated samples."""

from typing import ClassVar

from torch import Tensor

from ganforge import register
from ganforge.metrics import Metric


@register.metric("brightness")
class Brightness(Metric):
    """Difference of the mean brightness of generated and real pictures, from 0 to 2."""

    looks_at = "samples"  # or "features" and "logits" of the recipe's extractor
    better: ClassVar = {"brightness": "lower"}  # its figures, the main one first

    def __call__(self, fakes: Tensor, reals: Tensor) -> dict[str, float]:
        return {"brightness": (fakes.mean() - reals.mean()).abs().item()}
