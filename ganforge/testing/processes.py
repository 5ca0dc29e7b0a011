"""Two real processes over gloo, in the environment that a launcher would have left."""

import gc
import multiprocessing
import os
import socket
from collections.abc import Callable
from typing import Any

import torch
from torch.multiprocessing.spawn import start_processes

DDP = {"ACCELERATE_USE_CPU": "yes"}
PRELOADED = [
    "ganforge.training.session", "deepspeed", "deepspeed.runtime.engine", "torch._dynamo", "torch._inductor.compile_fx",
    "torch.distributed.algorithms.join", "torch.distributed.fsdp",
]  # fmt: skip
"""Modules that are slow to import, also those that torch imports in a first step; what is missing is skipped."""


def launch_two(
    function: Callable[..., None],
    arguments: tuple[Any, ...] = (),
    environment: dict[str, str] | None = None,
    prepare: Callable[[], None] | None = None,
) -> None:
    """Run a function of some module in two processes, and raise what either raises.

    They are forked by a server that has imported the slow modules and has trained nothing: torch's backward
    passes do not survive a fork of a process that had any. They do not see what a test has patched or registered;
    `prepare` does it again in each of them.
    """
    multiprocessing.set_forkserver_preload(PRELOADED)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    common |= {"GLOO_SOCKET_IFNAME": "lo", **(environment or DDP)}
    ranks = start_processes(
        _rank, args=(function, arguments, common, prepare), nprocs=2, join=False, start_method="forkserver"
    )
    assert ranks is not None
    while not ranks.join(grace_period=2):  # when one fails the other is ended
        pass


def _rank(
    rank: int,
    function: Callable[..., None],
    arguments: tuple[Any, ...],
    environment: dict[str, str],
    prepare: Callable[[], None] | None,
) -> None:
    gc.freeze()  # what was preloaded stays: DeepSpeed collects garbage after every pass, and would look through it all
    torch.set_num_threads(1)
    os.environ.update({**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)})
    if prepare is not None:
        prepare()
    function(*arguments)
    torch.distributed.destroy_process_group()
