"""Which tensors of one network fit into another, and why the rest does not."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

MOST_NAMED = 20


@dataclass(frozen=True)
class Fit:
    """Which of a network's tensors fit.

    Args:
        fits: names that are on both sides in the same shape.
        rest: for each other name, why it does not fit.
    """

    fits: list[str]
    rest: dict[str, str]

    @property
    def share(self) -> str:
        """How many of the network's own tensors fit: `3 of 5 tensors`."""
        missing = sum(reason != "only there" for reason in self.rest.values())
        return f"{len(self.fits)} of {len(self.fits) + missing} tensors"


def fit_of(network: nn.Module, tensors: Mapping[str, Tensor]) -> Fit:
    """Compare a network with what is offered to it, by names and shapes."""
    own = network.state_dict()
    rest: dict[str, str] = {}
    for name, tensor in own.items():
        if name not in tensors:
            rest[name] = "not there"
        elif tensors[name].shape != tensor.shape:
            rest[name] = f"{_shape(tensors[name])} there, {_shape(tensor)} here"
    rest |= {name: "only there" for name in tensors if name not in own}
    return Fit([name for name in own if name not in rest], rest)


def listed(rest: Mapping[str, str], most: int = MOST_NAMED) -> str:
    """Names and reasons, the first `most` of them."""
    named = [f"{name} ({reason})" for name, reason in list(rest.items())[:most]]
    more = len(rest) - len(named)
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")


def _shape(tensor: Tensor) -> str:
    return "x".join(str(size) for size in tensor.shape) or "a number"
