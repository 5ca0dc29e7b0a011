"""The game of a generator that is given latents (Goodfellow et al. 2014), and labels where the data has classes."""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ganforge.data.loader import Loader
from ganforge.game.augmentations import Augmentations
from ganforge.game.averaged import AveragedGenerator
from ganforge.game.latents import IndexedLatents
from ganforge.game.latents_ahead import LatentsAhead
from ganforge.game.player import Player
from ganforge.game.turn import Turn

Fakes = tuple[Tensor, Tensor | None, Tensor | None]
"""Latents, labels, and the samples made of them if there are any yet."""


@dataclass
class LatentGame:
    """Makes turns from real batches and from latents that are keyed by their place in the global batch.

    Args:
        discriminator: player.
        generator: player.
        averaged: the averaged generator.
        augment: augmentations between samples and the discriminator.
        loader: endless batches of reals.
        latents: of the run.
        rank: of this process.
        batch: samples a turn on this rank.
        packing: samples that the discriminator judges together.
        reuse_fakes: G's first turn of a step learns from the fakes of D's last one.
    """

    discriminator: Player
    generator: Player
    averaged: AveragedGenerator
    augment: Augmentations
    loader: Loader
    latents: IndexedLatents
    rank: int
    batch: int
    packing: int = 1
    reuse_fakes: bool = False
    _shared: Fakes | None = field(default=None, init=False)
    _ahead: LatentsAhead = field(init=False)

    def __post_init__(self) -> None:
        first = self.batch * self.rank
        self._ahead = LatentsAhead(self.latents, range(first, first + self.batch))

    def turns(self, moving: Player, step: int, number: int) -> list[Turn]:
        """One move, in micro-batches. Takes real samples from the loader only if a term looks at them."""
        samples, real_labels = None, None
        if moving.sees_real(step):
            real = self.loader.next()
            samples, real_labels = real.samples, real.labels
        fakes = self._fakes(moving, step, number, real_labels)
        latent, fake_labels, ready = fakes if not self.reuse_fakes else self._share(moving, number, fakes)
        turn = Turn(
            player=moving.role,
            step=step,
            generator=self.generator,
            discriminator=self.discriminator,
            latent=latent,
            fake_labels=fake_labels,
            real_samples=samples,
            real_labels=real_labels,
            augment=self.augment,
            ready_fakes=ready,
            packing=self.packing,
        )
        return [turn] if moving.micro_batches == 1 else _in_parts(turn, self.batch // moving.micro_batches)

    def inputs(self, stream: str, number: int, indices: range) -> tuple[Tensor, Tensor | None]:
        """Latents `(len(indices), latent_dim)` and labels for generated samples, the same on any number of ranks."""
        return self.latents(stream, number, indices)

    @torch.no_grad()
    def sample(self, stream: str, indices: range) -> Tensor:
        """Samples of the averaged generator by index, `(len(indices), *spec.shape)` on the device."""
        return self.averaged.network(*self.inputs(stream, 0, indices))

    def _fakes(self, moving: Player, step: int, number: int, real_labels: Tensor | None) -> Fakes:
        """What this turn's fakes are made of."""
        latent, labels = self._ahead(moving.role, step * moving.turns_per_step + number)
        if moving.objective.pairs_labels and real_labels is not None:
            labels = real_labels
        return latent, labels, None

    def _share(self, moving: Player, number: int, fakes: Fakes) -> Fakes:
        """D's last turn makes fakes with a graph, and G's first turn learns from them.

        G does not move in between, so its gradients are those of a forward of its own.
        """
        latent, labels, _ = fakes
        if moving is self.discriminator and number == moving.turns_per_step - 1:
            self._shared = (latent, labels, self.generator.forward_with_graph(latent, labels))
            return self._shared
        if moving is self.generator and number == 0:
            assert self._shared is not None
            shared, self._shared = self._shared, None
            return shared
        return fakes


def _in_parts(turn: Turn, size: int) -> list[Turn]:
    """A turn in micro-batches of `size` samples."""

    def part(values: Tensor | None, first: int) -> Tensor | None:
        return None if values is None else values[first : first + size]

    return [
        replace(
            turn,
            latent=turn.latent[first : first + size],
            fake_labels=part(turn.fake_labels, first),
            real_samples=part(turn.real_samples, first),
            real_labels=part(turn.real_labels, first),
            ready_fakes=part(turn.ready_fakes, first),
        )
        for first in range(0, len(turn.latent), size)
    ]
