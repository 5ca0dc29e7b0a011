"""Each rank looks at its share; sums or features are gathered. Results do not depend on the number of ranks."""

from collections.abc import Callable
from typing import TypeVar, cast

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor

from ganforge.errors import GanforgeError
from ganforge.metrics.moments import Moments

T = TypeVar("T")

BATCH = 64
"""Samples in a forward. Ranks share out whole batches, so that every forward is the same on any number of ranks."""


def share_of(total: int, rank: int, world_size: int) -> range:
    """A rank's contiguous share of `total` items; sizes differ by at most one."""
    return range(total * rank // world_size, total * (rank + 1) // world_size)


def batches_of(total: int, rank: int, world_size: int) -> list[range]:
    """A rank's batches of consecutive indices below `total`: none is left out, none comes twice."""
    share = share_of(-(-total // BATCH), rank, world_size)
    return [range(number * BATCH, min((number + 1) * BATCH, total)) for number in share]


def sum_over_ranks(moments: Moments, accelerator: Accelerator) -> Moments:
    """All ranks' moments added up, on the CPU. All ranks together."""
    if accelerator.num_processes == 1:
        packed = moments.packed()
    else:
        packed = cast(Tensor, accelerator.reduce(moments.packed(), reduction="sum"))
    return Moments.unpacked(packed.cpu())


def gather_rows(rows: Tensor, total: int, accelerator: Accelerator) -> Tensor:
    """All ranks' rows in the order of their indices, on the CPU. All ranks together.

    Args:
        rows: of this rank's `batches_of(total, ...)`, `(its samples, ...)`.
        total: samples on all ranks.
        accelerator: reaches the other ranks.
    """
    world_size = accelerator.num_processes
    if world_size == 1:
        return rows.cpu()
    sizes = [sum(map(len, batches_of(total, rank, world_size))) for rank in range(world_size)]
    padded = rows.new_zeros((max(sizes), *rows.shape[1:]))
    padded[: len(rows)] = rows
    gathered = cast(Tensor, accelerator.gather(padded)).view(world_size, max(sizes), *rows.shape[1:])
    return torch.cat([part[:size] for part, size in zip(gathered, sizes, strict=True)]).cpu()


def on_main(accelerator: Accelerator, action: Callable[[], T]) -> T:
    """The main process's result, on all processes; if it fails, all of them do. All ranks together.

    Raises:
        GanforgeError: raised on the other processes when the main one failed.
    """
    if accelerator.num_processes == 1:
        return action()
    failure: Exception | None = None
    found: list[object] = [None, ""]
    if accelerator.is_main_process:
        try:
            found = [action(), ""]
        except Exception as error:  # the others wait for an answer, whatever went wrong
            failure, found = error, [None, f"{type(error).__name__}: {error}"]
    broadcast_object_list(found)
    if failure is not None:
        raise failure
    if found[1]:
        raise GanforgeError(f"the main process failed: {found[1]}")
    return cast(T, found[0])
