"""The engine that a launch asks for."""

import torch
from accelerate import Accelerator
from torch import nn

from ganforge.game.engine import Engine
from ganforge.parallel.deepspeed.config import uses_deepspeed, zero_config, zero_precision
from ganforge.parallel.replicated import ReplicatedEngine


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
        LaunchError: DeepSpeed does not support the precision.
    """
    if not uses_deepspeed():
        return ReplicatedEngine(accelerator, network, optimizer)
    from ganforge.parallel.deepspeed.engine import ZeroEngine
    from ganforge.parallel.deepspeed.stage3 import Zero3Engine

    kind = Zero3Engine if zero_config()["zero_optimization"].get("stage") == 3 else ZeroEngine
    return kind(accelerator, network, optimizer, zero_precision(precision))
