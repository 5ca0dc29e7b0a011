"""Starting up: the processes that run are the processes that were asked for, or nothing starts."""

import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, cast

import torch
import torch.distributed
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import InitProcessGroupKwargs
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from ganforge.errors import LaunchError
from ganforge.parallel.deepspeed.config import uses_deepspeed
from ganforge.parallel.launch import check_launch, uses_cpu

COLLECTIVE_TIMEOUT = timedelta(minutes=10)


class _OwnBuffers(DistributedDataParallelKwargs):
    """DDP without a broadcast of buffers before each forward; `Run.statistics` says what is done instead.

    The argument's name changed in torch 2.15.
    """

    def to_kwargs(self) -> dict[str, Any]:
        names = inspect.signature(DistributedDataParallel).parameters
        name = "forward_sync_buffers" if "forward_sync_buffers" in names else "broadcast_buffers"
        return {name: False, "gradient_as_bucket_view": True}


def make_accelerator(precision: str, player: str = "generator") -> Accelerator:
    """One player's Accelerator; a second call shares the processes of the first but has its own scaler.

    Args:
        precision: `no`, `bf16`, `fp16`, or `auto` for what accelerate's config says.
        player: whose; "discriminator" or "generator".

    Raises:
        LaunchError: this device does not support the precision, or the number of processes is not the one asked for.
    """
    check_launch()
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    _join_after_restart()
    if uses_deepspeed():
        from ganforge.parallel.deepspeed.accelerator import make_zero_accelerator

        accelerator = make_zero_accelerator(player, COLLECTIVE_TIMEOUT)
    else:
        accelerator = _make_replicated(precision, world_size)
    if accelerator.num_processes != world_size:
        raise LaunchError(
            f"{world_size} processes were asked for, but accelerate runs {accelerator.num_processes}; "
            "see 'From laptop to cluster' in the README for launch lines that work"
        )
    return accelerator


def _join_after_restart() -> None:
    """Ranks that the launcher has started again meet under names of their own.

    Its store still holds the addresses of the ranks that died, and gloo would try those as often as not.
    """
    attempt = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
    if attempt == 0 or torch.distributed.is_initialized():
        return
    store, rank, world_size = next(rendezvous("env://", timeout=COLLECTIVE_TIMEOUT))
    torch.distributed.init_process_group(
        "gloo" if uses_cpu() or not torch.accelerator.is_available() else "nccl",
        store=PrefixStore(f"attempt-{attempt}", store),
        rank=rank,
        world_size=world_size,
        timeout=COLLECTIVE_TIMEOUT,
    )


def _make_replicated(precision: str, world_size: int) -> Accelerator:
    """For one process, or DDP over several."""
    on_cpu = uses_cpu() or (world_size > 1 and not torch.accelerator.is_available())
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
            "training.precision: fp16 needs a GPU, since on a CPU accelerate leaves out its gradient scaler; "
            "use bf16 or no"
        )
    accelerator.ddp_handler = cast(Any, _OwnBuffers())  # it takes no subclasses as a handler
    return accelerator


@contextmanager
def borrowed_processes() -> Iterator[None]:
    """Leave accelerate's globals as they were found, so that one call from a notebook decides nothing for the next."""
    are_ours = not AcceleratorState._shared_state and not PartialState._shared_state
    try:
        yield
    finally:
        if are_ours and not torch.distributed.is_initialized():
            forget_processes()


def forget_processes() -> None:
    """Let another run in this process choose its own device and precision; accelerate keeps both in globals."""
    AcceleratorState._reset_state(reset_partial_state=True)


def local_world_size() -> int:
    """Ranks on this node."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
