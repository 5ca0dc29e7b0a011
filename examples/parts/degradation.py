"""A degradation: what makes the source of a translation from its target."""

from torch import Tensor

from ganforge import DataSpec, register
from ganforge.degradations import Degradation


@register.degradation("dim")
class Dim(Degradation):
    """Darker pictures, by a share that is drawn for each.

    Args:
        spec: what a picture looks like.
        most: the largest share of the brightness that is taken away.
    """

    numbers = 1  # it wants one number in [0, 1) for each picture

    def __init__(self, spec: DataSpec, *, most: float = 0.8) -> None:
        super().__init__(spec)
        self.most = most

    def forward(self, pictures: Tensor, numbers: Tensor) -> Tensor:
        kept = 1 - self.most * numbers[:, 0].view(-1, 1, 1, 1).to(pictures.dtype)
        return (pictures + 1) * kept - 1
