"""What a family of networks makes of a pickle: components of ours, their options, and tensors under our names."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ganforge.errors import GanforgeError
from ganforge.importing.restricted import Kept
from ganforge.spec import DataSpec


class Unfit(GanforgeError):
    """The networks are of a kind that no component of ours is."""


@dataclass(frozen=True)
class Network:
    """A network in our words.

    Args:
        table: name of the component, and its options, as in a recipe.
        tensors: its state under our names.
    """

    table: dict[str, Any]
    tensors: dict[str, Tensor]


@dataclass(frozen=True)
class Found:
    """All of a pickle.

    Args:
        spec: what a sample looks like; classes are named by their numbers.
        networks: by the names that checkpoints have for them: `averaged`, `generator`, `discriminator`; those there.
        images: real images that they were trained on, 0 if it is not said.
        ada_probability: of ADA's changes at the end, if the pickle has it.
    """

    spec: DataSpec
    networks: Mapping[str, Network]
    images: int = 0
    ada_probability: float | None = None


NAMES = {"averaged": "G_ema", "generator": "G", "discriminator": "D"}
"""What the pickles call them."""


def classes_of(count: int) -> tuple[str, ...]:
    """Names of classes of which only the number is known."""
    return tuple(map(str, range(count)))


def attribute(part: Kept, name: str) -> Any:
    """A plain value of a layer.

    Raises:
        Unfit: it has none.
    """
    if name not in part.attributes:
        raise Unfit(f"a {part.kind} without '{name}', so it is of other code than the published")
    return part.attributes[name]


def inner(part: Kept, name: str) -> Kept:
    """A layer within a network.

    Raises:
        Unfit: it has none of that name.
    """
    if name not in part.modules:
        raise Unfit(f"a {part.kind} without '{name}', so it is of other code than the published")
    return part.modules[name]
