"""How one player's network runs in parallel: the only code that knows which way is in use.

`train_forward` is the wrapped network, whose backward exchanges gradients; `raw` is the bare one, for
the resting player. A turn is `with piece(...): forward, backward` for each of its micro-batches,
and then one `step`.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn


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
        self._wrapped, self._optimizer = accelerator.prepare(network, optimizer)

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
        """Optimizer and scaler."""
        scaler = self.accelerator.scaler
        return {"optimizer": self._optimizer.state_dict(), "scaler": scaler.state_dict() if scaler is not None else {}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._optimizer.load_state_dict(state["optimizer"])
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
