"""The list of illnesses: the name of each, its messages, and the rule that detects it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from ganforge.doctor import balance, numbers, variety
from ganforge.doctor.history import Evidence, History
from ganforge.doctor.treatment import Treatment

Rule = Callable[[History, Treatment], Evidence | None]
IllnessName = Literal[
    "discriminator_wins",
    "generator_wins",
    "collapse",
    "missing_classes",
    "copies_source",
    "oscillation",
    "memorising",
    "exploding_gradients",
    "dead_gradients",
    "average_far",
]


@dataclass(frozen=True)
class Illness:
    """An illness and the rule that sees it in a history.

    Args:
        name: as in the recipe's `[health] stop_on` and in `health.jsonl`.
        begins: message when it begins.
        ends: message when it has passed.
        rule: gives evidence that the illness is present now, or None.
    """

    name: IllnessName
    begins: str
    ends: str
    rule: Rule


ILLNESSES = (
    Illness(
        "discriminator_wins",
        "the discriminator wins: it tells fakes from reals almost surely, and the generator learns little from it",
        "the discriminator no longer wins",
        balance.discriminator_wins,
    ),
    Illness(
        "generator_wins",
        "the generator wins: the discriminator no longer tells its fakes from reals, though they differ",
        "the discriminator tells fakes from reals again",
        balance.generator_wins,
    ),
    Illness(
        "collapse",
        "the generator collapses: at any moment its samples are nearly alike",
        "the generator's samples differ again",
        variety.collapse,
    ),
    Illness(
        "missing_classes",
        "the generator leaves out classes: these hardly occur among its samples",
        "every class occurs again",
        variety.missing_classes,
    ),
    Illness(
        "copies_source",
        "the generator copies: its translations are their sources, though the targets differ from those",
        "the generator changes its sources again",
        balance.copies_source,
    ),
    Illness(
        "oscillation",
        "the game runs in circles: what the generator makes swings from one log line to the next",
        "the game has calmed down",
        balance.oscillation,
    ),
    Illness(
        "memorising",
        "the discriminator learns its data by heart: real samples that it never saw look fake to it",
        "the discriminator takes unseen real samples for real again",
        balance.memorising,
    ),
    Illness(
        "exploding_gradients",
        "gradients explode",
        "gradients are back to their usual size",
        numbers.exploding_gradients,
    ),
    Illness(
        "dead_gradients",
        "a player's gradient is dead: it learns nothing any more",
        "gradients are alive again",
        numbers.dead_gradients,
    ),
    Illness(
        "average_far",
        "the averaged generator is far from the generator: it averages networks that do different things",
        "the averaged generator is close to the generator again",
        numbers.average_far,
    ),
)

DIVERGENCE = "divergence"
"""Under this name a loss or weight that is not finite is written down; `training.on_divergence` says what follows."""

assert {illness.name for illness in ILLNESSES} == set(get_args(IllnessName))
