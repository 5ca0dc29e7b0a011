"""Latents and labels of coming turns, drawn for many of them at once.

A draw costs the host more than its numbers: a Philox to make, a dozen operations to shape normal latents (a dozen
launches on a GPU), a copy to the device. What a turn gets is what a draw for it alone gives.
"""

import torch
from torch import Tensor

from ganforge.game.latents import IndexedLatents

TURNS = 128
"""Most turns that are drawn at once; more would save next to nothing."""
NUMBERS = 2**17
"""Most numbers of one draw, if a turn has not more: a megabyte in float64, which stays in a core's cache."""
_ALIGNMENT = 128
"""Numbers between the beginnings of two turns are a multiple of it: 512 bytes, as torch's allocators align tensors."""


class LatentsAhead:
    """One rank's latents and labels, turn by turn.

    Args:
        draw: of the run.
        indices: of this rank's samples in the global batch.
    """

    def __init__(self, draw: IndexedLatents, indices: range) -> None:
        self._draw = draw
        self.indices = indices
        self._turns = max(1, min(TURNS, NUMBERS // max(len(indices) * draw.dim, 1)))
        self._blocks: dict[str, _Block] = {}

    def __call__(self, stream: str, turn: int) -> tuple[Tensor, Tensor | None]:
        """Latents `(len(indices), dim)`, and labels `(len(indices),)` or None. They may be written to."""
        block = self._blocks.get(stream)
        if block is None or turn not in block.turns:
            turns = range(turn, turn + self._turns)
            latents, labels = self._draw.of_turns(stream, turns, self.indices)
            block = self._blocks[stream] = _Block(turns, _aligned(latents), labels)
        # Each is given out once, since whoever had it may have changed it; a run that goes back draws it again.
        place, block.turns = turn - block.first, range(turn + 1, block.turns.stop)
        return block.latents[place], None if block.labels is None else block.labels[place]


class _Block:
    """What was drawn at once.

    Args:
        turns: whose latents they are; later those that nobody had yet.
        latents: `(turns, samples, dim)`.
        labels: `(turns, samples)`, or None without classes.
    """

    def __init__(self, turns: range, latents: Tensor, labels: Tensor | None) -> None:
        self.first = turns.start
        self.turns = turns
        self.latents = latents
        self.labels = labels


def _aligned(latents: Tensor) -> Tensor:
    """The same `(turns, samples, dim)`, each turn's where a tensor of its own could begin.

    Otherwise a matrix product could round otherwise than in a run that was resumed at another turn.
    """
    turns, samples, dim = latents.shape
    size = samples * dim
    apart = torch.empty(turns, -(-size // _ALIGNMENT) * _ALIGNMENT, device=latents.device)
    return apart[:, :size].view(turns, samples, dim).copy_(latents)
