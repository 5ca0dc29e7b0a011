"""Operations and bytes of one step, counted as they are carried out."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry


class OperationCounter(TorchDispatchMode):
    """Sums over all operations in a block, forward and backward.

    Products and convolutions are counted by torch's own formulas. Its `FlopCounterMode` cannot be used, because it
    fails on penalties that differentiate twice.

    Attributes:
        flops: floating-point operations of products and convolutions, a multiplication and an addition being two.
        traffic: bytes read and written if every operation runs by itself, without caches: an upper bound. Views
            of a tensor move nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0
        self.traffic = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **kwargs, out_val=result)
        read, written = _tensors((args, kwargs)), _tensors(result)
        known = {_storage(tensor) for tensor in read}
        looks_only = not func._schema.is_mutable and any(_storage(tensor) in known for tensor in written)
        if not looks_only and not func._schema.name.startswith("aten::empty"):
            self.traffic += sum(tensor.nbytes for tensor in (*read, *written))
        return result


def _storage(tensor: Tensor) -> int:
    """Which storage a tensor looks at: its identity, since autograd's zeros have one without an address."""
    return tensor.untyped_storage()._cdata  # pyright: ignore[reportPrivateUsage]


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


@contextmanager
def operations_counted() -> Iterator[OperationCounter]:
    """Context that counts operations; nothing is compiled inside, so that every operation is seen."""
    with torch.compiler.set_stance("force_eager"), OperationCounter() as counter:
        yield counter


def gradient_bytes(network: nn.Module) -> int:
    """Bytes of all gradients that are not None: what the ranks exchange at the end of a turn."""
    return sum(parameter.grad.nbytes for parameter in network.parameters() if parameter.grad is not None)
