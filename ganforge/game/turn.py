"""One move of one player: everything its losses may look at, each forward pass computed at most once."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

Role = Literal["discriminator", "generator"]
Network = Callable[..., Tensor]


@runtime_checkable
class HasNetwork(Protocol):
    """A player, or whatever else calls a module in its own way."""

    @property
    def network(self) -> nn.Module: ...


def _unchanged(samples: Tensor) -> Tensor:
    return samples


@dataclass(kw_only=True)
class Turn:
    """What a loss sees. `real` is there only if the turn's terms said that they look at it.

    Args:
        player: whose move it is.
        generator: maps `(source, labels)` to samples; the wrapped network when it is the generator's move.
        discriminator: maps `(samples, labels)` to logits `(batch,)`; the wrapped network in the discriminator's move.
        source: what the generator is given: latents `(batch, latent_dim)`, or pictures.
        step: number of the alternation, from 0.
        fake_labels: `(batch,)` int64, or None without classes.
        real_samples: `(batch, *spec.shape)` in [-1, 1], or None when nothing in this turn looks at them.
        real_labels: `(batch,)` int64, or None.
        augment: what samples go through on their way to the discriminator; by default nothing.
        ready_fakes: samples that the generator already made of `source`, with its graph; None to make them when
            looked at.
        packing: samples that the discriminator judges together, with one logit; neighbours in the batch.
        beside: the sources at the samples' height and width, if the discriminator sees them beside the samples.
        pool: replaces fakes in the discriminator's turn by earlier ones; None to show it those of this turn.
        back: the same move the other way, from targets to sources, where the game has two ways; its `back` is this
            turn.
    """

    player: Role
    generator: Network
    discriminator: Network
    source: Tensor
    step: int = 0
    fake_labels: Tensor | None = None
    real_samples: Tensor | None = None
    real_labels: Tensor | None = None
    augment: Callable[[Tensor], Tensor] = _unchanged
    ready_fakes: Tensor | None = None
    packing: int = 1
    beside: Tensor | None = None
    pool: Callable[[Tensor], Tensor] | None = None
    back: "Turn | None" = None

    @property
    def ways(self) -> "tuple[Turn, ...]":
        """This turn, and that of the way back where there is one; a player's loss is the sum over them."""
        return (self,) if self.back is None else (self, self.back)

    @property
    def real(self) -> Tensor:
        """Real samples `(batch, *spec.shape)` in [-1, 1]."""
        assert self.real_samples is not None, (
            f"a term of the {self.player} looks at real samples without saying so: "
            "set generator_sees_real (objective) or sees_real (penalty)"
        )
        return self.real_samples

    @cached_property
    def fake(self) -> Tensor:
        """Generated samples `(batch, *spec.shape)`; without a graph in the discriminator's turn."""
        if self.ready_fakes is not None:
            if self.player == "generator":
                return self.ready_fakes
            made = self.ready_fakes.detach()
            return made if self.pool is None else self.pool(made)
        if self.player == "generator":
            return self.generator(self.source, self.fake_labels)
        with torch.no_grad():
            made = self.generator(self.source, self.fake_labels)
            return made if self.pool is None else self.pool(made)

    @cached_property
    def real_logits(self) -> Tensor:
        """Discriminator's logits on real samples, `(batch,)`."""
        return self.discriminate(self.real, self.real_labels)

    @cached_property
    def fake_logits(self) -> Tensor:
        """Discriminator's logits on generated samples, `(batch,)`."""
        return self.discriminate(self.fake, self.fake_labels)

    @property
    def module(self) -> nn.Module:
        """The moving player's bare network, for terms on its weights."""
        return _bare(self.discriminator if self.player == "discriminator" else self.generator)

    @property
    def discriminator_module(self) -> nn.Module:
        """The bare discriminator, for terms on its inner layers."""
        return _bare(self.discriminator)

    @property
    def generator_module(self) -> nn.Module:
        """The bare generator, for terms on its inner layers."""
        return _bare(self.generator)

    def discriminate(self, samples: Tensor, labels: Tensor | None) -> Tensor:
        """Logits `(batch,)` of any samples. All that the discriminator sees goes through here, augmented alike."""
        return self.discriminator(self.augment(self.seen(samples)), labels)

    def seen(self, samples: Tensor) -> Tensor:
        """Samples from the beginning of the batch as the discriminator is shown them: beside their sources, if it sees
        those, as further channels.
        """
        if self.beside is None:
            return samples
        return torch.cat((samples, self.beside[: len(samples)].to(samples.dtype)), dim=1)

    def computed(self, name: str) -> Tensor | None:
        """`real_logits`, `fake_logits` or `fake`, if a term has looked at it already; else None."""
        return self.__dict__.get(name)

    def judged(self) -> dict[str, Tensor]:
        """The logits that the discriminator's turn happened to compute, `(batch,)`, detached, by what they judge.

        Those of both ways, one after the other, where the game has two.
        """
        if self.player == "generator":
            return {}
        found = {name: self.computed(f"{name}_logits") for name in ("real", "fake")}
        logits = {name: values.detach() for name, values in found.items() if values is not None}
        if self.back is None:
            return logits
        others = {name: self.back.computed(f"{name}_logits") for name in logits}
        return {
            name: torch.cat((values, other.detach()))
            for name, values in logits.items()
            if (other := others[name]) is not None
        }


def _bare(network: Network) -> nn.Module:
    """A module itself, or the network of a player."""
    if isinstance(network, nn.Module):
        return network
    assert isinstance(network, HasNetwork), "a term looks at a module, and this turn was given a plain function"
    return network.network
