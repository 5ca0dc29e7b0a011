"""Each player's Accelerator under DeepSpeed."""

import logging
import os
from datetime import timedelta
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DeepSpeedPlugin, InitProcessGroupKwargs

from ganforge.errors import LaunchError
from ganforge.parallel.deepspeed.config import zero_config


class _Plugin(DeepSpeedPlugin):
    """Accelerate's plugin without its tie to transformers, and with nothing taken from the environment."""

    def set_deepspeed_weakref(self) -> None:
        pass

    def set_mixed_precision(self, mixed_precision: str) -> None:
        """The engines stay in float32; autocast is ours."""

    def _deepspeed_config_checks(self) -> None:
        pass


def make_zero_accelerator(player: str, timeout: timedelta) -> Accelerator:
    """One player's Accelerator; the first call makes a plugin for each player, the second finds them.

    Args:
        player: "discriminator" or "generator".
        timeout: of a collective.

    Raises:
        LaunchError: DeepSpeed is not installed, or its config would change what is trained.
    """
    on_cpu = not torch.accelerator.is_available()
    if on_cpu:
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # or it warns that it has found nothing better
    try:
        import deepspeed.ops
    except ImportError as error:
        raise LaunchError(f"the launch asks for DeepSpeed: {error}; pip install 'ganforge[deepspeed]'") from error
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    if on_cpu:
        # None to compile: it would try out which it can, and build one for ranks that share memory, for minutes.
        cast(Any, deepspeed.ops).__compatible_ops__ = {}
    handler = InitProcessGroupKwargs(backend="gloo" if on_cpu else "nccl", timeout=timeout)
    accelerator = Accelerator(
        mixed_precision="no",
        deepspeed_plugins=_plugins(),
        kwargs_handlers=[handler],
    )
    accelerator.state.select_deepspeed_plugin(player)
    return accelerator


def _plugins() -> dict[str, DeepSpeedPlugin] | None:
    """A plugin for each player, or None when an Accelerator has them already."""
    if AcceleratorState._shared_state and AcceleratorState().deepspeed_plugins is not None:
        return None
    return {
        role: _Plugin(
            hf_ds_config=zero_config(), gradient_accumulation_steps=1, gradient_clipping=0.0, zero3_init_flag=False
        )
        for role in ("discriminator", "generator")
    }
