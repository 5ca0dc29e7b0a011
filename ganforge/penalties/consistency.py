"""Consistency: D should say the same of a picture that was mirrored or moved a little."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from ganforge.errors import GanforgeError
from ganforge.game.penalty import Penalty
from ganforge.game.precision import at_least_float32
from ganforge.game.turn import Turn
from ganforge.registry import register

NotNegative = Annotated[float, Field(ge=0)]


@register.penalty("consistency")
class Consistency(Penalty):
    """Balanced consistency regularisation of D, bCR (Zhao et al. 2021, algorithm 1).

    `real * E[(D(x) - D(T(x)))^2] + fake * E[(D(G(z)) - D(T(G(z))))^2]`, where T mirrors a picture half of the time and
    moves it by a random number of pixels each way; what moves in from outside is the picture's reflection. The logits
    of x and G(z) are the objective's own. For pictures only. Costs two forwards of D.

    Args:
        real: strength on real pictures; 10 in the paper.
        fake: strength on fake pictures; 10 in the paper.
        flip: whether T mirrors, left to right; not for what has a side, such as digits.
        shift: largest move as a share of the picture's side; 0.125 (4 pixels of 32) in the paper.
    """

    def __init__(
        self,
        *,
        real: NotNegative = 10.0,
        fake: NotNegative = 10.0,
        flip: bool = True,
        shift: Annotated[float, Field(ge=0, lt=0.5)] = 0.125,
    ) -> None:
        self.real = real
        self.fake = fake
        self.flip = flip
        self.shift = shift

    def __call__(self, turn: Turn) -> Tensor:
        real = self._distance(turn, turn.real, turn.real_labels, turn.real_logits)
        fake = self._distance(turn, turn.fake, turn.fake_labels, turn.fake_logits)
        return self.real * real + self.fake * fake

    def _distance(self, turn: Turn, samples: Tensor, labels: Tensor | None, logits: Tensor) -> Tensor:
        if samples.dim() != 4:
            shape = tuple(samples.shape[1:])
            raise GanforgeError(f"penalty 'consistency' mirrors and moves pictures; these samples have shape {shape}")
        moved = shifted(samples, self.shift)
        moved = flipped(moved) if self.flip else moved
        return (at_least_float32(turn.discriminate(moved, labels)) - at_least_float32(logits)).square().mean()


def flipped(pictures: Tensor) -> Tensor:
    """Each picture `(channels, height, width)` of the batch mirrored left to right, or not, with equal chances."""
    is_mirrored = torch.rand(len(pictures), 1, 1, 1, device=pictures.device) < 0.5
    return torch.where(is_mirrored, pictures.flip(3), pictures)


def shifted(pictures: Tensor, share: float) -> Tensor:
    """Each picture of `(batch, channels, height, width)` moved by whole pixels, by at most `share` of its side."""
    for dim in (2, 3):
        size = pictures.shape[dim]
        reach = round(share * size)
        pad = [0, 0, reach, reach] if dim == 2 else [reach, reach, 0, 0]
        padded = functional.pad(pictures, pad, mode="reflect")
        first = torch.randint(0, 2 * reach + 1, (len(pictures), 1), device=pictures.device)
        index = first + torch.arange(size, device=pictures.device)
        view = (len(pictures), 1, size, 1) if dim == 2 else (len(pictures), 1, 1, size)
        pictures = padded.take_along_dim(index.view(view), dim)
    return pictures
