"""An extractor: from samples to the features that metrics look at."""

from torch import Tensor
from torch.nn import functional

from ganforge import register
from ganforge.metrics import Extractor


@register.extractor("thumbnail")
class Thumbnail(Extractor):
    """The pixels of a picture reduced to a few, by the mean of areas: needs no weights, and knows nothing of content.

    Args:
        side: of the reduced picture.
    """

    def __init__(self, *, side: int = 4) -> None:
        self.side = side
        self.name_of_weights = f"thumbnail-{side}"  # identifies what it computes, for caches and protocols

    def __call__(self, samples: Tensor) -> Tensor:
        return functional.adaptive_avg_pool2d(samples, self.side).flatten(1)
