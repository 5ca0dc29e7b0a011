"""A CUDA graph as a recording of turns (`ganforge.game.recorded`)."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from ganforge.errors import GanforgeError
from ganforge.game.augmentations import Augmentations
from ganforge.game.networks import Networks
from ganforge.game.player import Player
from ganforge.game.randomness import host_random_states, restore_host_random_states
from ganforge.game.recorded import NotRepeatable, RecordedTurns
from ganforge.recipe import Recipe


def why_not_recorded(recipe: Recipe, players: Sequence[Player], networks: Networks) -> str:
    """Why no turn of a run can be recorded; empty if some may."""
    device = players[0].accelerator.device
    if device.type != "cuda":
        return f"this runs on {device.type}"
    if not all(player.engine.is_alone for player in players):
        return "ranks exchange gradients within a turn"
    if networks.has_two_ways:
        return "a turn of two ways is two turns"
    return "fakes come from a pool" if recipe.training.pool else ""


def record_turns(
    recipe: Recipe, players: Sequence[Player], networks: Networks, augment: Augmentations
) -> RecordedTurns | None:
    """Turns that become CUDA graphs, if the recipe wants it and it can be.

    All are in one pool of memory, since one turn follows the other.
    """
    if not recipe.performance.cuda_graphs or why_not_recorded(recipe, players, networks):
        return None
    with torch.cuda.device(players[0].accelerator.device):
        pool = torch.cuda.graph_pool_handle()
    return RecordedTurns(augment, partial(CudaGraph, pool))


class CudaGraph:
    """Kernels of a piece of work, started by the host as one.

    Args:
        pool: of memory, shared by graphs that never run at once; from `torch.cuda.graph_pool_handle()`.
    """

    def __init__(self, pool: Any) -> None:
        self._graph = torch.cuda.CUDAGraph()
        self._pool = pool

    def record(self, work: Callable[[], None]) -> None:
        """Capture the work.

        Raises:
            NotRepeatable: it drew random numbers on the host.
            GanforgeError: it waits for the device, or does what CUDA does not capture; nobody can go on after that.
        """
        before = host_random_states()
        try:
            # cuDNN cannot try algorithms here: it takes those that it has chosen, and its own guess for others. The
            # error mode is of this thread only: the loader's may allocate and copy meanwhile.
            with _without_trials(), torch.cuda.graph(self._graph, pool=self._pool, capture_error_mode="thread_local"):
                work()
        except RuntimeError as error:
            text = f"a turn cannot be recorded as a CUDA graph ({_first(error)}); set performance.cuda_graphs = false"
            raise GanforgeError(text) from error
        if not _same(host_random_states(), before):
            restore_host_random_states(before)
            raise NotRepeatable("they draw random numbers on the host")

    def replay(self) -> None:
        self._graph.replay()


@contextmanager
def _without_trials() -> Generator[None]:
    """While inside, cuDNN does not time its algorithms against each other."""
    tries = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = tries


def _first(error: BaseException) -> str:
    """The error that began it: what ends a capture only says that there was one."""
    while error.__context__ is not None:
        error = error.__context__
    return next(iter(str(error).splitlines()), type(error).__name__)


def _same(one: Any, other: Any) -> bool:
    pairs = zip(tree_leaves(one), tree_leaves(other), strict=True)
    return all(torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in pairs)
