"""Weights as they are used: with the scale that layers of an equalised learning rate give them at run time.

Such weights are all N(0, 1), or a hundred times that, whatever their layer reads; their lengths and distances say
nothing until the scale is applied.
"""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from torch import Tensor, nn


@runtime_checkable
class Scaled(Protocol):
    """A layer that computes with something else than its parameters as they are stored."""

    def effective(self, name: str) -> Tensor:
        """Its own parameter of that name as it is used, with a graph to the parameter."""
        ...


def effective_parameters(network: nn.Module) -> Iterator[tuple[nn.Parameter, Tensor]]:
    """Each parameter once, and beside it the tensor that its layer uses: the parameter itself in most layers."""
    seen: set[nn.Parameter] = set()
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter not in seen:
                seen.add(parameter)
                yield parameter, module.effective(name) if isinstance(module, Scaled) else parameter
