"""What a discriminator can see of other samples in its batch."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

GroupSize = Annotated[int, Field(ge=0, le=1024)]
"""The option `minibatch_std` of discriminators: samples in a group, or 0 for none. It is checked with the batch."""


class MinibatchDeviation(nn.Module):
    """Appends how much the samples of a group differ from each other (Karras et al. 2018, section 3).

    The standard deviation of every feature at every position over a group of samples, averaged to one number, becomes
    one more channel of all samples in the group, so that D recognises a generator whose samples vary too little.

    A group lies within one forward pass. So it sees real and fake samples apart, never looks at other ranks, and is at
    most as large as a rank's micro-batch. In training the group size divides the micro-batch; where it does not, as may
    happen outside of training, the last samples use the last `group_size`. Neighbours in the batch form a group; in the
    authors' code samples `batch / group_size` apart do, which for samples drawn at random is equivalent. Logits of a
    group depend on each other, and so do their gradients in R1 and similar penalties.

    Args:
        group_size: samples in a group, 2 or more (4 in the authors' code).

    Raises:
        ValueError: a group of one, which cannot differ.
    """

    def __init__(self, group_size: int) -> None:
        super().__init__()
        if group_size < 2:
            raise ValueError(f"minibatch_std = {group_size}: one sample differs from nothing; use 2 or more, or 0")
        self.group_size = group_size

    def forward(self, features: Tensor) -> Tensor:
        """`(batch, channels, ...)` to `(batch, channels + 1, ...)`."""
        batch = len(features)
        size = min(self.group_size, batch)
        rest = batch % size
        exact = features if features.dtype == torch.float64 else features.float()
        grouped = torch.cat((exact[: batch - rest], exact[-size:])) if rest else exact
        groups = grouped.reshape(-1, size, exact[0].numel())
        # The root has no derivative at 0, where a collapsed generator is.
        deviations = (groups.var(dim=1, correction=0) + 1e-8).sqrt().mean(dim=1)
        number = deviations.repeat_interleave(size)[:batch].to(features.dtype)
        shape = (batch, 1, *features.shape[2:])
        return torch.cat((features, number.view(batch, *(1 for _ in shape[1:])).expand(shape)), dim=1)

    def extra_repr(self) -> str:
        return f"group_size={self.group_size}"
