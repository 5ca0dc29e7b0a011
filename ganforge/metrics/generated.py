"""Generated samples by index, with the classes that they were made of."""

from collections.abc import Callable

from torch import Tensor, nn

SamplesByIndex = Callable[[range], Tensor]
"""Samples by index, on the device: the same index gives the same sample on any rank."""


class Generated:
    """What metrics look at of a generator: called with indices, it gives samples.

    Args:
        samples: by index.
        inputs: the latents and labels of the same samples.
        network: the generator, in evaluation mode.
    """

    def __init__(
        self, samples: SamplesByIndex, inputs: Callable[[range], tuple[Tensor, Tensor | None]], network: nn.Module
    ) -> None:
        self._samples = samples
        self.inputs = inputs
        self.network = network

    def __call__(self, indices: range) -> Tensor:
        return self._samples(indices)

    def labels(self, total: int) -> Tensor | None:
        """Labels of the first `total` samples, `(total,)` on the CPU; None without classes."""
        labels = self.inputs(range(total))[1]
        return None if labels is None else labels.cpu()
