"""The networks found in a pickle: ganforge's components, their options, and tensors under ganforge's names."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ganforge.errors import GanforgeError
from ganforge.importing.restricted import Kept
from ganforge.spec import DataSpec


class Unfit(GanforgeError):
    """No component of ganforge matches the networks."""


@dataclass(frozen=True)
class Network:
    """A network as a component of ganforge.

    Args:
        table: name of the component, and its options, as in a recipe.
        tensors: its state under the component's names.
    """

    table: dict[str, Any]
    tensors: dict[str, Tensor]


@dataclass(frozen=True)
class Found:
    """Everything that was found in a pickle.

    Args:
        spec: what a sample looks like; classes are named by their numbers.
        networks: by the names that checkpoints have for them: `averaged`, `generator`, `discriminator`; those there.
        images: real images that the networks were trained on, 0 if unknown.
        ada_probability: ADA's probability at the end of training, if the pickle has it.
    """

    spec: DataSpec
    networks: Mapping[str, Network]
    images: int = 0
    ada_probability: float | None = None


NAMES = {"averaged": "G_ema", "generator": "G", "discriminator": "D"}
"""Names that the pickles give the networks."""


def classes_of(count: int) -> tuple[str, ...]:
    """Names for classes of which only the number is known."""
    return tuple(map(str, range(count)))


def attribute(part: Kept, name: str) -> Any:
    """A plain value of a layer.

    Raises:
        Unfit: the layer has no such value.
    """
    if name not in part.attributes:
        raise Unfit(f"a {part.kind} without '{name}', so it was not made by the published code")
    return part.attributes[name]


def inner(part: Kept, name: str) -> Kept:
    """A layer within a network.

    Raises:
        Unfit: it has no layer of that name.
    """
    if name not in part.modules:
        raise Unfit(f"a {part.kind} without '{name}', so it was not made by the published code")
    return part.modules[name]
