"""A player through Accelerate: one process or DDP over several, mixed precision, its own gradient scaler."""

import warnings
from contextlib import AbstractContextManager
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from ganforge.game.engine import NOTHING, Engine

PASSED_ON = {DistributedType.NO, *(kind for kind in DistributedType if kind.name.startswith("MULTI_"))}
"""One process, or DDP over several: gradients are exchanged in the network's backward, and optimizers are torch's."""


class ReplicatedEngine(Engine):
    """Weights and optimizer states are whole on every rank, and gradients are averaged.

    Args:
        accelerator: this player's own; a scaler serves one optimizer only.
        network: bare, on the device.
        optimizer: over the network's parameters.
    """

    def __init__(self, accelerator: Accelerator, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        super().__init__(network, optimizer)
        self._accelerator = accelerator
        self.precision = accelerator.mixed_precision
        # A channels-last weight of one channel has two layouts that are the same; DDP warns of the difference.
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
        self._wrapped, wrapped_optimizer = accelerator.prepare(network, optimizer)
        self._is_direct = _is_direct(accelerator)
        if not self._is_direct:
            self._optimizer = wrapped_optimizer

    @property
    def accelerator(self) -> Accelerator:
        return self._accelerator

    @property
    def scaler(self) -> GradScaler | None:
        return self._accelerator.scaler

    @property
    def is_alone(self) -> bool:
        return self._accelerator.num_processes == 1

    def train_forward(self, *inputs: Any) -> Tensor:
        return self._wrapped(*inputs)

    def micro_batch(self, is_last: bool) -> AbstractContextManager[Any]:
        return NOTHING if is_last else self.accelerator.no_sync(self._wrapped)

    def backward(self, loss: Tensor) -> None:
        if self._is_direct:
            super().backward(loss)
        else:
            self.accelerator.backward(loss)

    def unscale_gradients(self) -> None:
        if self._is_direct:
            super().unscale_gradients()
        else:
            self.accelerator.unscale_gradients()

    def step_optimizer(self) -> None:
        if self._is_direct:
            super().step_optimizer()
        else:
            self._optimizer.step()


def _is_direct(accelerator: Accelerator) -> bool:
    """Whether a loss and an optimizer may be called themselves, since Accelerate would only pass the calls on.

    It looks for optional packages in every step of an optimizer, in each folder of `sys.path`, and inspects a signature
    in every `zero_grad`. What it passes on to a gradient scaler, which is torch's, the engine does by itself.
    """
    return (
        accelerator.distributed_type in PASSED_ON
        and accelerator.gradient_accumulation_steps == 1
        and not accelerator.has_lomo_optimizer
    )
