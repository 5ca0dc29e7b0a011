"""Generated samples by index, with the classes that they were made of."""

from collections.abc import Callable

from torch import Tensor

SamplesByIndex = Callable[[range], Tensor]
"""Samples by index, on the device: the same index gives the same sample on any rank."""


class Generated:
    """What metrics look at of a generator: called with indices, it gives samples.

    Args:
        samples: by index.
        inputs: the latents and labels of the same samples.
    """

    def __init__(self, samples: SamplesByIndex, inputs: Callable[[range], tuple[Tensor, Tensor | None]]) -> None:
        self._samples = samples
        self._inputs = inputs

    def __call__(self, indices: range) -> Tensor:
        return self._samples(indices)

    def labels(self, total: int) -> Tensor | None:
        """Labels of the first `total` samples, `(total,)` on the CPU; None without classes."""
        labels = self._inputs(range(total))[1]
        return None if labels is None else labels.cpu()
