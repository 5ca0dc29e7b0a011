"""How one player's network is trained: in one process as it is; engines for several processes override its methods.

`train_forward` is the network of the moving player, which in several processes is wrapped and exchanges gradients in
its backward; `network` is the bare one, for the resting player. A turn is `with micro_batch(...): forward, backward`
for each of its micro-batches, and then one `step`.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator  # pyright: ignore[reportMissingTypeStubs]
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

NOTHING: AbstractContextManager[Any] = nullcontext()
"""Where there is nothing to do before and after."""

WHOLE = "whole"
"""Layout of optimizer states that are the same on every rank, so that any number of ranks can go on with them."""


@dataclass
class Limits:
    """What bounds a step, as the recipe's `[optimizer.*]` says; 0 for no limit.

    Args:
        clip_norm: of all gradients together.
        clip_value: of one entry of a gradient.
        clip_weights: of one weight after the update.
    """

    clip_norm: float = 0.0
    clip_value: float = 0.0
    clip_weights: float = 0.0


def clip_gradients(limits: Limits, parameters: Sequence[nn.Parameter]) -> Tensor | None:
    """Entries first, then the norm; returns the norm that was clipped, on the device."""
    if limits.clip_value > 0:
        nn.utils.clip_grad_value_(parameters, limits.clip_value)
    return nn.utils.clip_grad_norm_(parameters, limits.clip_norm) if limits.clip_norm > 0 else None


def clamp_weights(limits: Limits, parameters: Sequence[nn.Parameter]) -> None:
    if limits.clip_weights > 0:
        weights: list[Tensor] = list(parameters)
        with torch.no_grad():
            torch._foreach_clamp_min_(weights, -limits.clip_weights)  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]
            torch._foreach_clamp_max_(weights, limits.clip_weights)  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]


class Engine:
    """One process, float32, and nothing between the network and its optimizer.

    Args:
        network: bare, on the device.
        optimizer: over the network's parameters.
    """

    precision: str = "no"

    def __init__(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.network = network
        self._optimizer = optimizer

    @property
    def accelerator(self) -> Accelerator | None:
        """The Accelerator that runs the network, if one does."""
        return None

    @property
    def scaler(self) -> GradScaler | None:
        """The gradient scaler, under fp16."""
        return None

    @property
    def has_whole_weights(self) -> bool:
        """Whether all weights are here at any time, not only inside `gathered` and in a layer's passes."""
        return True

    @property
    def is_alone(self) -> bool:
        """Whether forwards and backwards are this process's own, without a word to other ranks."""
        return True

    @property
    def layout(self) -> str:
        """How the optimizer's state is laid out over the ranks; a checkpoint resumes only under its own layout."""
        return WHOLE

    def train_forward(self, *inputs: Any) -> Tensor:
        return self.network(*inputs)

    def micro_batch(self, is_last: bool) -> AbstractContextManager[Any]:
        """Context of one micro-batch's forward and backward: ranks exchange gradients only in the last."""
        return NOTHING

    def backward(self, loss: Tensor) -> None:
        """The one backward of a micro-batch; a second one would exchange gradients twice."""
        scaled = loss if self.scaler is None else self.scaler.scale(loss)
        scaled.backward()  # pyright: ignore[reportUnknownMemberType]

    def unscale_gradients(self) -> None:
        """Remove the scaler's factor from the gradients, before anything looks at their size."""
        if self.scaler is not None:
            self.scaler.unscale_(self._optimizer)

    def step_optimizer(self) -> None:
        """Step the optimizer, unless a scaler finds a gradient that is not finite; it then lowers its factor."""
        if self.scaler is None:
            self._optimizer.step()
        else:
            self.scaler.step(self._optimizer)
            self.scaler.update()

    def step(self, limits: Limits, parameters: Sequence[nn.Parameter]) -> Tensor | None:
        """Step the optimizer within limits and clear the gradients.

        Args:
            limits: of gradients and weights.
            parameters: the parameters that the optimizer updates.

        Returns:
            the gradients' norm before clipping, on the device, if it was clipped by norm.
        """
        if limits.clip_value > 0 or limits.clip_norm > 0:
            self.unscale_gradients()
        norm = clip_gradients(limits, parameters)
        self.step_optimizer()
        self.clear_gradients(parameters)
        clamp_weights(limits, parameters)
        return norm

    def clear_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Drop the gradients of the parameters that the optimizer updates; an optimizer of its own way goes that."""
        if type(self._optimizer).zero_grad is torch.optim.Optimizer.zero_grad:
            for parameter in parameters:  # the same, without the profiler's mark and a look at each group
                parameter.grad = None
        else:
            self._optimizer.zero_grad(set_to_none=True)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The optimizer's parameter groups, for learning rates."""
        return self._optimizer.param_groups

    def state_dict(self) -> dict[str, Any]:
        """State of optimizer and scaler, where it is the same on all ranks."""
        scaler = self.scaler
        return {"optimizer": self._optimizer.state_dict(), "scaler": scaler.state_dict() if scaler is not None else {}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._optimizer.load_state_dict(state["optimizer"])
        if self.scaler is not None:
            self.scaler.load_state_dict(state["scaler"])

    def shard(self) -> dict[str, Any]:
        """The part of the optimizer's state that only this rank has; empty where nothing is sharded."""
        return {}

    def load_shard(self, shard: dict[str, Any]) -> None:
        """Restore what `shard` returned on this rank."""

    def gathered(self, writes: bool = False) -> AbstractContextManager[Any]:
        """While inside, the network's weights are all here, to be looked at or changed. All ranks together.

        Forwards, backwards and steps do not need it. Weights that are kept for later have to be copied.

        Args:
            writes: the weights are changed inside, on all ranks alike.
        """
        return NOTHING
