"""Running statistics of batch norm on several ranks: each follows its own batches, and evaluation uses their mean."""

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ganforge.game.averaged import AveragedGenerator


class RunningStatistics:
    """The floating-point buffers of all networks.

    Each rank follows its own share of the batch, since broadcasting rank 0's before each forward costs a collective per
    forward and discards those of the other ranks. Running means are linear in the batches, so their average
    over the ranks is what one process would have followed.

    Args:
        networks: by role, bare.
        averaged: the averaged generator, whose statistics may be re-estimated.
        average: the mean of a tensor over all ranks, which call it together; None where there is one rank.
        reestimate_from: batches of latents and labels, the same on every rank, from which the averaged generator's
            statistics are re-estimated whenever it is used; None to keep their moving average.
    """

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        averaged: AveragedGenerator,
        *,
        average: Callable[[Tensor], Tensor] | None,
        reestimate_from: Callable[[], Iterable[tuple[Tensor, Tensor | None]]] | None = None,
    ) -> None:
        self._networks = networks
        self._averaged = averaged
        self._average = average
        self._reestimate_from = reestimate_from

    @contextmanager
    def for_evaluation(self) -> Generator[None]:
        """While inside, all networks have the statistics that evaluation uses. All ranks together.

        Afterwards each rank has its own again: neither looking nor saving changes the training, not even by a rounding.
        """
        own = self.state_dict()
        try:
            self._share()
            if self._reestimate_from is not None:
                self._averaged.reestimate(self._reestimate_from())
            yield
        finally:
            self.load_state_dict(own)

    def state_dict(self) -> dict[str, Tensor]:
        """Copies of what `for_evaluation` would change, by network and name; of this rank alone."""
        if self._average is None and self._reestimate_from is None:
            return {}
        return {name: buffer.clone() for name, buffer in self._buffers().items()}

    def load_state_dict(self, own: Mapping[str, Tensor]) -> None:
        """Put them back."""
        buffers = self._buffers()
        for name, mine in own.items():
            buffers[name].copy_(mine)

    def _buffers(self) -> dict[str, Tensor]:
        return {
            f"{role}.{name}": buffer
            for role, network in self._networks.items()
            for name, buffer in network.named_buffers()
            if buffer.is_floating_point()
        }

    def _share(self) -> None:
        """Average them over the ranks, in one message."""
        buffers = list(self._buffers().values())
        if self._average is not None and buffers:
            mean = self._average(torch.cat([buffer.flatten() for buffer in buffers]))
            parts = torch.split(mean, [buffer.numel() for buffer in buffers])
            for buffer, part in zip(buffers, parts, strict=True):
                buffer.copy_(part.view_as(buffer))
