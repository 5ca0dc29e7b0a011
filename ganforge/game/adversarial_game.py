"""The game of two players (Goodfellow et al. 2014): turns of real batches, and of fakes that are made of a source."""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn import functional

from ganforge.data.loader import Loader
from ganforge.game.augmentations import Augmentations
from ganforge.game.averaged import AveragedGenerator
from ganforge.game.picture_sources import Domain
from ganforge.game.player import Player
from ganforge.game.pool import Pool
from ganforge.game.source import Source
from ganforge.game.turn import Turn
from ganforge.game.ways import WAYS, BothWays, Way

Fakes = tuple[Tensor, Tensor | None, Tensor | None]
"""What they are made of, their labels, and the samples made of it if there are any yet."""


@dataclass
class AdversarialGame:
    """Makes turns from real batches and from what the generator is given, keyed by its place in the global batch.

    Args:
        discriminator: player.
        generator: player.
        averaged: the averaged generator.
        augment: augmentations between samples and the discriminator.
        loader: endless batches of reals.
        source: of what the generator is given.
        rank: of this process.
        batch: samples a turn on this rank.
        packing: samples that the discriminator judges together.
        reuse_fakes: G's first turn of a step learns from the fakes of D's last one.
        sees_source: the discriminator sees samples beside their sources.
        pools: of earlier fakes, one for each way; none for games without.
    """

    discriminator: Player
    generator: Player
    averaged: AveragedGenerator
    augment: Augmentations
    loader: Loader
    source: Source
    rank: int
    batch: int
    packing: int = 1
    reuse_fakes: bool = False
    sees_source: bool = False
    pools: tuple[Pool, ...] = ()
    _shared: Fakes | None = field(default=None, init=False)

    @property
    def has_two_ways(self) -> bool:
        """Whether the players hold a network for each way."""
        return isinstance(self.generator.network, BothWays)

    def turns(self, moving: Player, step: int, number: int) -> list[Turn]:
        """One move, in micro-batches. Takes real samples from the loader only if a term or the source looks at them."""
        first = self.batch * self.rank
        start, real = self.loader.position + first, None
        if moving.sees_real(step) or self.source.needs_reals:
            real = self.loader.next()
        samples, real_labels = (None, None) if real is None else (real.samples, real.labels)
        given, fake_labels = self.source.of_turn(
            moving.role, step * moving.turns_per_step + number, range(first, first + self.batch), real, start
        )
        if moving.objective.pairs_labels and real_labels is not None and self.source.spec is None:
            fake_labels = real_labels
        fakes: Fakes = given, fake_labels, None
        given, fake_labels, ready = fakes if not self.reuse_fakes else self._share(moving, number, fakes)
        size = self.batch // moving.micro_batches
        if self.has_two_ways:
            assert samples is not None
            starts = range(0, self.batch, size)
            return [self._there_and_back(moving, step, given[i : i + size], samples[i : i + size]) for i in starts]
        turn = Turn(
            player=moving.role,
            step=step,
            generator=self.generator,
            discriminator=self.discriminator,
            source=given,
            fake_labels=fake_labels,
            real_samples=samples,
            real_labels=real_labels,
            augment=self.augment,
            ready_fakes=ready,
            packing=self.packing,
            beside=self._beside(given, samples),
            pool=self.pools[0] if self.pools else None,
        )
        return [turn] if moving.micro_batches == 1 else _in_parts(turn, size)

    def inputs(self, stream: str, number: int, indices: range) -> tuple[Tensor, Tensor | None]:
        """What the generator is given for samples by index, and their labels, the same on any number of ranks."""
        return self.source.shown(stream, number, indices)

    @torch.no_grad()
    def sample(self, stream: str, indices: range) -> Tensor:
        """Samples of the averaged generator by index, `(len(indices), *spec.shape)` on the device."""
        way = ("there",) if self.has_two_ways else ()
        return self.averaged.network(*way, *self.inputs(stream, 0, indices))

    def targets(self, stream: str, indices: range) -> Tensor | None:
        """What samples by index should have become; None where nobody knows."""
        return self.source.targets(stream, indices)

    @torch.no_grad()
    def sample_back(self, stream: str, indices: range) -> Tensor:
        """Translations back by index, by the averaged generator of a game with two ways."""
        assert isinstance(self.source, Domain)
        return self.averaged.network("back", self.source.wanted(stream, indices), None)

    def _there_and_back(self, moving: Player, step: int, sources: Tensor, targets: Tensor) -> Turn:
        """A turn from sources to targets that knows the one from targets to sources."""
        pools = self.pools or (None, None)
        there, back = (
            Turn(
                player=moving.role,
                step=step,
                generator=Way(self.generator, way),
                discriminator=Way(self.discriminator, way),
                source=given,
                real_samples=real,
                augment=self.augment,
                packing=self.packing,
                pool=pool,
            )
            for way, given, real, pool in zip(WAYS, (sources, targets), (targets, sources), pools, strict=True)
        )
        there.back, back.back = back, there
        return there

    def _beside(self, sources: Tensor, samples: Tensor | None) -> Tensor | None:
        """The sources at the samples' size, if the discriminator sees them."""
        if not self.sees_source:
            return None
        assert samples is not None
        if sources.shape[2:] == samples.shape[2:]:
            return sources
        return functional.interpolate(sources, size=samples.shape[2:])

    def _share(self, moving: Player, number: int, fakes: Fakes) -> Fakes:
        """D's last turn makes fakes with a graph, and G's first turn learns from them.

        G does not move in between, so its gradients are those of a forward of its own.
        """
        given, labels, _ = fakes
        if moving is self.discriminator and number == moving.turns_per_step - 1:
            self._shared = (given, labels, self.generator.forward_with_graph(given, labels))
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
            source=turn.source[first : first + size],
            fake_labels=part(turn.fake_labels, first),
            real_samples=part(turn.real_samples, first),
            real_labels=part(turn.real_labels, first),
            ready_fakes=part(turn.ready_fakes, first),
            beside=part(turn.beside, first),
        )
        for first in range(0, len(turn.source), size)
    ]
