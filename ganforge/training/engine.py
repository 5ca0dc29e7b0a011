"""How one player's network runs in parallel: the only code that knows which way is in use.

`train_forward` is the wrapped network, whose backward exchanges gradients; `raw` is the bare one, for
the resting player. A turn is `with piece(...): forward, backward` for each of its micro-batches,
and then one `step`.
"""

import warnings
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from ganforge.training.deepspeed_config import uses_deepspeed, zero_precision

WHOLE = "whole"
"""Layout of optimizer states that are the same on every rank, so that any number of ranks can go on with them."""


class Engine:
    """One process, or DDP over several, with mixed precision and a gradient scaler of its own.

    Args:
        accelerator: this player's own; a scaler serves one optimizer only.
        network: bare, on the device.
        optimizer: over the network's parameters.
    """

    def __init__(self, accelerator: Accelerator, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.accelerator = accelerator
        self.raw = network
        self.precision: str = accelerator.mixed_precision
        # A channels-last weight of one channel has two layouts that are the same; DDP warns of the difference.
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
        self._wrapped, self._optimizer = accelerator.prepare(network, optimizer)

    @property
    def layout(self) -> str:
        """How the optimizer's state lies on the ranks; a checkpoint goes on only under its own."""
        return WHOLE

    def train_forward(self, *inputs: Any) -> Tensor:
        return self._wrapped(*inputs)

    def piece(self, is_last: bool) -> AbstractContextManager[Any]:
        """Context of one micro-batch's forward and backward: ranks exchange gradients only in the last."""
        return nullcontext() if is_last else self.accelerator.no_sync(self._wrapped)

    def backward(self, loss: Tensor) -> None:
        """The one backward of a piece; a second one would exchange gradients twice."""
        self.accelerator.backward(loss)

    def step(self) -> None:
        """Step the optimizer and clear the gradients."""
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The optimizer's, for learning rates."""
        return self._optimizer.param_groups

    def state_dict(self) -> dict[str, Any]:
        """Optimizer and scaler, where they are the same on all ranks."""
        scaler = self.accelerator.scaler
        return {"optimizer": self._optimizer.state_dict(), "scaler": scaler.state_dict() if scaler is not None else {}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._optimizer.load_state_dict(state["optimizer"])
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])

    def shard(self) -> dict[str, Any]:
        """What of the optimizer's state only this rank has; empty where nothing is sharded."""
        return {}

    def load_shard(self, shard: dict[str, Any]) -> None:
        """Take back what `shard` gave on this rank."""

    def weights_were_loaded(self) -> None:
        """Must be called after the network's weights were changed by anything but `step`."""


def make_engine(
    accelerator: Accelerator, network: nn.Module, optimizer: torch.optim.Optimizer, precision: str
) -> Engine:
    """The engine that the launch asks for.

    Args:
        accelerator: this player's own.
        network: bare, on the device.
        optimizer: over the network's parameters.
        precision: of the recipe.

    Raises:
        LaunchError: the precision is not to be had under DeepSpeed.
    """
    if not uses_deepspeed():
        return Engine(accelerator, network, optimizer)
    from ganforge.training.deepspeed_engine import ZeroEngine

    return ZeroEngine(accelerator, network, optimizer, zero_precision(precision))
