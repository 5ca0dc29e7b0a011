"""A player on DeepSpeed's ZeRO 0, 1 or 2: sharded optimizer states and gradients, everything else as under DDP.

Imported only when the launch asks for DeepSpeed, since importing it takes seconds.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.utils.operations import convert_outputs_to_fp32
from torch import Tensor, nn

from ganforge.errors import LaunchError
from ganforge.game.engine import Limits, clamp_weights, clip_gradients
from ganforge.parallel.replicated import ReplicatedEngine
from ganforge.wording import counted


class ZeroEngine(ReplicatedEngine):
    """ZeRO (Rajbhandari et al. 2020), stage 0 to 2, over float32 weights.

    Args:
        accelerator: this player's own, with its plugin selected.
        network: bare, on the device.
        optimizer: over the network's parameters; ZeRO shards its state.
        precision: `no` or `bf16`, by autocast over float32 weights, as everywhere else.

    Raises:
        LaunchError: the network or the optimizer would train something else, or not at all.
    """

    def __init__(
        self, accelerator: Accelerator, network: nn.Module, optimizer: torch.optim.Optimizer, precision: str
    ) -> None:
        if precision == "bf16":
            forward = torch.autocast(accelerator.device.type, torch.bfloat16)(network.forward)
            network.forward = convert_outputs_to_fp32(forward)  # the resting player's, too
        for name, parameter in network.named_parameters():
            if parameter.dim() == 0:
                raise LaunchError(f"weight '{name}' is a single number, which DeepSpeed cannot send; use DDP")
        # It looks at weights as bytes and lays them in one flat piece, for which channels-last ones do not do.
        for parameter in network.parameters():
            parameter.data = parameter.data.clone(memory_format=torch.contiguous_format)
        super().__init__(accelerator, network, optimizer)
        self.precision = precision
        self._engine = cast(Any, self._wrapped)
        self._has_entered = False
        if self.stage and isinstance(optimizer, torch.optim.Adafactor):
            raise LaunchError(
                f"adafactor looks at weights' rows and columns, and {self.layout} lays them flat; use DDP"
            )

    @property
    def stage(self) -> int:
        return int(self._engine.zero_optimization_stage())

    @property
    def is_alone(self) -> bool:
        return False

    @property
    def layout(self) -> str:
        if self.stage == 0:
            return super().layout
        return f"ZeRO {self.stage} over {counted(self.accelerator.num_processes, 'rank')}"

    @contextmanager
    def micro_batch(self, is_last: bool) -> Iterator[None]:
        """`no_sync` raises where gradients are sharded; the boundary is right on all stages."""
        self._engine.set_gradient_accumulation_boundary(is_last)
        yield

    def train_forward(self, *inputs: Any) -> Tensor:
        """The first forward before a backward enters through the engine, which prepares its backward once.

        A forward whose input gradients are wanted (R1) must not: taking them would start the engine's backward.
        """
        wants_input_gradients = any(isinstance(value, Tensor) and value.requires_grad for value in inputs)
        if self._has_entered or wants_input_gradients:
            return self.network(*inputs)
        self._has_entered = True
        return self._engine(*inputs)

    def backward(self, loss: Tensor) -> None:
        """Accelerate's would step the optimizer as well, in every micro-batch."""
        assert self._has_entered, "a loss without a forward of its player that needs no input gradients"
        self._has_entered = False
        self._engine.backward(loss)

    def step(self, limits: Limits, parameters: Sequence[nn.Parameter]) -> Tensor | None:
        """From stage 1 on ZeRO clips by norm itself, over the pieces of all ranks; entries and weights it hides.

        Raises:
            LaunchError: the recipe limits those.
        """
        if not self.stage:  # gradients lie whole in the parameters
            norm = clip_gradients(limits, parameters)
            self._engine.step()
            clamp_weights(limits, parameters)
            return norm
        if limits.clip_value > 0 or limits.clip_weights > 0:
            raise LaunchError("optimizer.*.clip_value and clip_weights do not reach what ZeRO shards; use DDP")
        self._engine.optimizer.clip_grad = limits.clip_norm
        self._engine.step()
        if limits.clip_norm == 0:
            return None
        return torch.as_tensor(self._engine.get_global_grad_norm(), device=self.accelerator.device)

    @property
    def _inner(self) -> torch.optim.Optimizer:
        """The torch optimizer that does the stepping: over this rank's flat partition from stage 1 on."""
        optimizer = self._engine.optimizer
        return optimizer.optimizer if self.stage else optimizer

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return self._inner.param_groups

    def state_dict(self) -> dict[str, Any]:
        return {"optimizer": {} if self.stage else self._inner.state_dict(), "scaler": {}}

    def shard(self) -> dict[str, Any]:
        """The inner optimizer's state, as plain tensors: DeepSpeed's own files hold pickled classes."""
        return self._inner.state_dict() if self.stage else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if not self.stage:
            self._inner.load_state_dict(state["optimizer"])

    def load_shard(self, shard: dict[str, Any]) -> None:
        if self.stage:
            self._inner.load_state_dict(shard)

    @contextmanager
    def gathered(self, writes: bool = False) -> Iterator[None]:
        """ZeRO steps a copy of its part of the weights, which would undo a change that it is not told of."""
        yield
        if writes and self.stage:
            self._engine.optimizer.refresh_fp32_params()
