"""Latents and labels of generated samples, keyed by where they stand and not by who computes them.

The latent of a sample is a pure function of (seed, stream, turn, index in the global batch), so
neither the number of ranks nor a resume changes it. Philox (Salmon et al. 2011) is counter-based:
any slice of a batch costs only that slice.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ganforge.data.transfer import to_device

WORDS = 4
"""64-bit words that a step of Philox's counter gives."""
TURN = 2**64
"""Steps of the counter from a sample's place in one turn to that in the next."""


@dataclass(frozen=True)
class IndexedLatents:
    """Latents and labels of one generator, by index.

    Args:
        seed: the run's seed.
        dim: dimension of a latent.
        distribution: "normal" or "uniform".
        num_classes: of the data; 0 without labels.
        device: where they are wanted.
        class_counts: samples of each class, by which labels are drawn; empty for all classes alike.
    """

    seed: int
    dim: int
    distribution: str = "normal"
    num_classes: int = 0
    device: torch.device | str = "cpu"
    class_counts: tuple[int, ...] = ()

    def __call__(self, stream: str, turn: int, indices: range) -> tuple[Tensor, Tensor | None]:
        """Latents `(len(indices), dim)`, and labels `(len(indices),)` or None."""
        return self.latents(stream, turn, indices), self.labels(stream, turn, indices)

    def latents(self, stream: str, turn: int, indices: range) -> Tensor:
        """Latents `(len(indices), dim)`."""
        return latents(self.seed, stream, turn, indices, self.dim, self.distribution, self.device)

    def labels(self, stream: str, turn: int, indices: range) -> Tensor | None:
        """Labels `(len(indices),)`, or None without classes."""
        return labels(self.seed, stream, turn, indices, self.num_classes, self.device, counts=self.class_counts)

    def of_turns(self, stream: str, turns: range, indices: range) -> tuple[Tensor, Tensor | None]:
        """Those of several turns at once: latents `(turns, samples, dim)`, and labels `(turns, samples)` or None."""
        drawn = latents_of_turns(self.seed, stream, turns, indices, self.dim, self.distribution, self.device)
        counts = self.class_counts
        return drawn, labels_of_turns(self.seed, stream, turns, indices, self.num_classes, self.device, counts=counts)


def latents(
    seed: int,
    stream: str,
    turn: int,
    indices: range,
    dim: int,
    distribution: str = "normal",
    device: torch.device | str = "cpu",
) -> Tensor:
    """Latent vectors `(len(indices), dim)`, float32.

    Args:
        seed: the run's seed.
        stream: what they are for; streams are independent ("generator", "discriminator", "samples", ...).
        turn: number of the turn, or 0 where there is one set.
        indices: consecutive indices in the global batch.
        dim: dimension of a latent.
        distribution: "normal" N(0, 1) by Box-Muller, or "uniform" on [-1, 1).
        device: where they are wanted.
    """
    return latents_of_turns(seed, stream, range(turn, turn + 1), indices, dim, distribution, device)[0]


def latents_of_turns(
    seed: int,
    stream: str,
    turns: range,
    indices: range,
    dim: int,
    distribution: str = "normal",
    device: torch.device | str = "cpu",
) -> Tensor:
    """The latents of several turns at once, `(len(turns), len(indices), dim)`; the rest as for `latents`."""
    if distribution not in ("normal", "uniform"):
        raise ValueError(f"latent_distribution is 'normal' or 'uniform', not '{distribution}'")
    bits = to_device(_bits(seed, stream, turns, indices, dim + dim % 2), device)
    return _shaped(bits.flatten(0, 1), dim, distribution).view(len(turns), len(indices), dim)


def _shaped(bits: Tensor, dim: int, distribution: str) -> Tensor:
    """Latents `(count, dim)` from their bits, int64 `(count, dim or dim + 1)`, in a few operations on their device.

    Each is computed in float64 and rounded once, so that devices agree to the last rounding of float32.
    """
    uniform = bits.to(torch.float64).mul_(2.0**-53)
    if distribution == "uniform":
        return uniform[:, :dim].mul_(2.0).sub_(1.0).float().contiguous()
    half = bits.shape[1] // 2
    radius = uniform[:, :half].neg().log1p_().mul_(-2.0).sqrt_()
    angle = uniform[:, half:].mul(2.0 * torch.pi)
    return torch.cat((angle.cos().mul_(radius), angle.sin_().mul_(radius)), dim=1)[:, :dim].float().contiguous()


def labels(
    seed: int,
    stream: str,
    turn: int,
    indices: range,
    num_classes: int,
    device: torch.device | str = "cpu",
    *,
    counts: Sequence[int] = (),
) -> Tensor | None:
    """Class labels `(len(indices),)`, int64; None when there are no classes.

    Each is the class at a uniformly drawn place of all the samples, sorted by class, so equal counts give the labels of
    no counts, and a class without samples is never drawn.

    Args:
        seed: the run's seed.
        stream: what they are for, as for `latents`.
        turn: number of the turn, or 0 where there is one set.
        indices: consecutive indices in the global batch.
        num_classes: how many there are.
        device: where they are wanted.
        counts: samples of each class, by which classes are drawn; empty for all classes alike.
    """
    drawn = labels_of_turns(seed, stream, range(turn, turn + 1), indices, num_classes, device, counts=counts)
    return None if drawn is None else drawn[0]


def labels_of_turns(
    seed: int,
    stream: str,
    turns: range,
    indices: range,
    num_classes: int,
    device: torch.device | str = "cpu",
    *,
    counts: Sequence[int] = (),
) -> Tensor | None:
    """The labels of several turns at once, `(len(turns), len(indices))`; the rest as for `labels`."""
    if num_classes == 0:
        return None
    assert len(counts) in (0, num_classes)
    uniform = _bits(seed, f"{stream}/labels", turns, indices, 1)[:, :, 0].astype(np.float64) * 2.0**-53
    last = np.cumsum(counts) if len(counts) else np.arange(1, num_classes + 1)  # of each class: the place behind it
    place = np.minimum((uniform * last[-1]).astype(np.int64), last[-1] - 1)  # the product may be rounded up to the end
    classes: np.ndarray = np.asarray(np.searchsorted(last, place, side="right"), dtype=np.int64)
    return to_device(classes, device)


def _bits(seed: int, stream: str, turns: range, indices: range, dim: int) -> np.ndarray:
    """53 random bits as int64, `(len(turns), len(indices), dim)`.

    Those of a row depend on seed, stream, its turn and its index alone.
    """
    assert indices.step == turns.step == 1
    steps_a_row = -(-dim // WORDS)
    steps = len(indices) * steps_a_row
    generator = np.random.Philox(
        key=np.array([seed, zlib.crc32(stream.encode())], dtype=np.uint64),
        counter=np.array([indices.start * steps_a_row, turns.start, 0, 0], dtype=np.uint64),
    )
    raw = np.empty((len(turns), steps * WORDS), np.uint64)
    for words in raw:
        words[:] = generator.random_raw(steps * WORDS)
        generator.advance(TURN - steps)
    return (raw.reshape(len(turns), len(indices), -1)[:, :, :dim] >> np.uint64(11)).view(np.int64)
