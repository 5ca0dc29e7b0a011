"""Turns as the loop makes them, of samples that a test gives."""

from typing import Any

import torch
from torch import Tensor

from ganforge.game.turn import Role, Turn


def turn_of(player: Role, real: Tensor | None, fake: Tensor, discriminator: Any = None, generator: Any = None) -> Turn:
    """A turn whose latents are the fakes and whose samples are the logits, unless networks make something of them."""
    return Turn(
        player=player,
        step=0,
        generator=generator or (lambda latent, labels: latent),
        discriminator=discriminator or (lambda samples, labels: samples),
        source=fake,
        fake_labels=None,
        real_samples=real,
        real_labels=None,
        augment=lambda samples: samples,
    )


REAL = torch.tensor([2.0, -1.0, 0.5, 3.0], dtype=torch.float64)
FAKE = torch.tensor([-1.5, 0.7, -4.0, 0.2], dtype=torch.float64)
"""Logits on both sides of zero and of all margins."""


def losses(objective: Any, real: Tensor = REAL, fake: Tensor = FAKE) -> tuple[Tensor, Tensor]:
    """The discriminator's and the generator's loss of an objective for these logits."""
    seen = real if objective.generator_sees_real else None
    return (
        objective.discriminator_loss(turn_of("discriminator", real, fake)),
        objective.generator_loss(turn_of("generator", seen, fake)),
    )
