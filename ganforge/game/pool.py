"""Fakes of earlier turns, so that the discriminator does not forget what the generator used to make."""

from typing import Any

import torch
from torch import Tensor


class Pool:
    """Half of what the discriminator sees are fakes of earlier turns (Shrivastava et al. 2017, section 2.3).

    Until the pool is full every fake is kept and shown. From then on a fake is shown as it is, or, with equal chances,
    takes the place of one in the pool, which is shown instead. Draws come from torch's random state of this rank, which
    the checkpoint has; each rank has a pool of its own.

    Args:
        size: fakes that are kept; 50 in CycleGAN (Zhu et al. 2017).
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._kept: Tensor | None = None
        self._count = 0

    def __call__(self, fakes: Tensor) -> Tensor:
        """Fakes `(batch, *spec.shape)` without a graph to those that D is shown in their place."""
        if self._kept is None:
            self._kept = fakes.new_empty((self.size, *fakes.shape[1:]))
        kept, shown = self._kept, fakes.clone()
        for index, fake in enumerate(fakes):
            if self._count < self.size:
                kept[self._count] = fake
                self._count += 1
            elif torch.rand(()) < 0.5:
                place = int(torch.randint(self.size, ()))
                shown[index] = kept[place]
                kept[place] = fake
        return shown

    def state_dict(self) -> dict[str, Any]:
        """The fakes that are kept, `(number, *spec.shape)`, or None."""
        return {"kept": None if self._kept is None else self._kept[: self._count].clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Keep what another pool had, as far as this one has room."""
        kept = state["kept"]
        self._kept, self._count = None, 0
        if kept is not None:
            self._count = min(len(kept), self.size)
            room = kept.new_empty((self.size, *kept.shape[1:]))
            room[: self._count] = kept[: self._count]
            self._kept = room
