"""Starting up: the processes that run are the processes that were asked for, or nothing starts."""

import inspect
import os
from datetime import timedelta
from typing import Any, cast

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.utils import InitProcessGroupKwargs
from torch.nn.parallel import DistributedDataParallel

from ganforge.errors import LaunchError

COLLECTIVE_TIMEOUT = timedelta(minutes=10)


class _OwnBuffers(DistributedDataParallelKwargs):
    """DDP without a broadcast of buffers before each forward; `Run.share_running_statistics` says what is done instead.

    The argument's name changed in torch 2.15.
    """

    def to_kwargs(self) -> dict[str, Any]:
        names = inspect.signature(DistributedDataParallel).parameters
        name = "forward_sync_buffers" if "forward_sync_buffers" in names else "broadcast_buffers"
        return {name: False, "gradient_as_bucket_view": True}


def check_environment() -> None:
    """Refuse launches that would silently train something else.

    Raises:
        LaunchError: `accelerate launch --cpu --num_processes N` was used, which starts one process only.
    """
    several_asked = "MASTER_PORT" in os.environ and "ACCELERATE_MIXED_PRECISION" in os.environ
    if several_asked and "WORLD_SIZE" not in os.environ and _uses_cpu():
        raise LaunchError(
            "several processes were asked for, but `accelerate launch --cpu` starts only one; "
            "use `ACCELERATE_USE_CPU=true accelerate launch --multi_gpu --num_processes N ...`"
        )


def make_accelerator(precision: str) -> Accelerator:
    """One player's Accelerator; a second call shares the processes of the first but has its own scaler.

    Args:
        precision: `no`, `bf16`, `fp16`, or `auto` for what accelerate's config says.

    Raises:
        LaunchError: the precision is not to be had here, or the number of processes is not the one asked for.
    """
    check_environment()
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    on_cpu = _uses_cpu() or (world_size > 1 and not torch.accelerator.is_available())
    try:
        accelerator = Accelerator(
            cpu=on_cpu,
            mixed_precision=None if precision == "auto" else precision,
            kwargs_handlers=[InitProcessGroupKwargs(timeout=COLLECTIVE_TIMEOUT)],
        )
    except ValueError as error:
        raise LaunchError(f"training.precision = '{precision}': {error}") from error
    if accelerator.mixed_precision == "fp16" and accelerator.device.type == "cpu":
        raise LaunchError(
            "training.precision: fp16 needs a GPU, since on a CPU accelerate leaves out the gradient scaler; use bf16 or no"
        )
    accelerator.ddp_handler = cast(Any, _OwnBuffers())  # it takes no subclasses as a handler
    if accelerator.num_processes != world_size:
        raise LaunchError(
            f"{world_size} processes were asked for, but accelerate runs {accelerator.num_processes}; "
            "see 'Two GPUs' in the README for launch lines that work"
        )
    return accelerator


def local_world_size() -> int:
    """Ranks on this node."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def _uses_cpu() -> bool:
    return os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes")
