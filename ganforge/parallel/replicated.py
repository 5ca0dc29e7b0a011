"""A player through Accelerate: one process or DDP over several, mixed precision, its own gradient scaler."""

import warnings
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from ganforge.game.engine import Engine


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
        self._wrapped, self._optimizer = accelerator.prepare(network, optimizer)

    @property
    def accelerator(self) -> Accelerator:
        return self._accelerator

    @property
    def scaler(self) -> GradScaler | None:
        return self.accelerator.scaler

    def train_forward(self, *inputs: Any) -> Tensor:
        return self._wrapped(*inputs)

    def micro_batch(self, is_last: bool) -> AbstractContextManager[Any]:
        return nullcontext() if is_last else self.accelerator.no_sync(self._wrapped)

    def backward(self, loss: Tensor) -> None:
        self.accelerator.backward(loss)

    def unscale_gradients(self) -> None:
        self.accelerator.unscale_gradients()
