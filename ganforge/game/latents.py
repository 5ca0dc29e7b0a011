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

WORDS = 4  # 64-bit words a Philox counter step gives


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
    if distribution not in ("normal", "uniform"):
        raise ValueError(f"latent_distribution is 'normal' or 'uniform', not '{distribution}'")
    even = dim + dim % 2
    bits = _bits(seed, stream, turn, indices, even)
    if torch.device(device).type == "cuda":
        # Sine and cosine take the host longer than a whole step takes a fast GPU, so only the bits are made here.
        return shaped_on_device(to_device(bits, device), dim, distribution)
    uniform = bits.astype(np.float64) * 2.0**-53
    if distribution == "uniform":
        values = 2.0 * uniform[:, :dim] - 1.0
    else:
        radius = np.sqrt(-2.0 * np.log1p(-uniform[:, : even // 2]))
        angle = (2.0 * np.pi) * uniform[:, even // 2 :]
        values = np.concatenate((radius * np.cos(angle), radius * np.sin(angle)), axis=1)[:, :dim]
    return to_device(values.astype(np.float32), device)


def shaped_on_device(bits: Tensor, dim: int, distribution: str) -> Tensor:
    """The same latents from their bits, int64 `(count, dim or dim + 1)`, to the last rounding of float32."""
    uniform = bits.to(torch.float64) * 2.0**-53
    if distribution == "uniform":
        return (2.0 * uniform[:, :dim] - 1.0).float()
    half = bits.shape[1] // 2
    radius = torch.sqrt(-2.0 * torch.log1p(-uniform[:, :half]))
    angle = (2.0 * torch.pi) * uniform[:, half:]
    return torch.cat((radius * torch.cos(angle), radius * torch.sin(angle)), dim=1)[:, :dim].float().contiguous()


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
    if num_classes == 0:
        return None
    assert len(counts) in (0, num_classes)
    uniform = _bits(seed, f"{stream}/labels", turn, indices, 1)[:, 0].astype(np.float64) * 2.0**-53
    last = np.cumsum(counts) if len(counts) else np.arange(1, num_classes + 1)  # of each class: the place behind it
    place = np.minimum((uniform * last[-1]).astype(np.int64), last[-1] - 1)  # the product may be rounded up to the end
    classes: np.ndarray = np.asarray(np.searchsorted(last, place, side="right"), dtype=np.int64)
    return to_device(classes, device)


def _bits(seed: int, stream: str, turn: int, indices: range, dim: int) -> np.ndarray:
    """53 random bits as int64, `(len(indices), dim)`: row i depends on (seed, stream, turn, indices[i]) alone."""
    assert indices.step == 1
    steps_a_row = -(-dim // WORDS)
    generator = np.random.Philox(
        key=np.array([seed, zlib.crc32(stream.encode())], dtype=np.uint64),
        counter=np.array([indices.start * steps_a_row, turn, 0, 0], dtype=np.uint64),
    )
    raw = generator.random_raw(len(indices) * steps_a_row * WORDS).reshape(len(indices), -1)[:, :dim]
    return (raw >> np.uint64(11)).view(np.int64)
