"""A CUDA graph as a recording of turns (`ganforge.game.recorded`)."""

import random
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch

from ganforge.errors import LaunchError
from ganforge.game.augmentations import Augmentations
from ganforge.game.networks import Networks
from ganforge.game.player import Player
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
            LaunchError: it waits for the device, or does what CUDA does not capture; nobody can go on after that.
        """
        drawn = _HostDraws()
        try:
            # cuDNN cannot try algorithms here: it takes those that it has chosen, and its own guess for others. The
            # error mode is of this thread only: the loader's may allocate and copy meanwhile.
            with _without_trials(), torch.cuda.graph(self._graph, pool=self._pool, capture_error_mode="thread_local"):
                work()
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            text = f"a turn cannot be recorded as a CUDA graph ({reason}); set performance.cuda_graphs = false"
            raise LaunchError(text) from error
        if drawn.restored():
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


class _HostDraws:
    """The host's random states, to see whether something was drawn, and to take it back."""

    def __init__(self) -> None:
        self._python, self._numpy, self._torch = random.getstate(), np.random.get_state(), torch.get_rng_state()

    def restored(self) -> bool:
        """Whether something was drawn; it is as if it had not been."""
        same_numpy = all(np.array_equal(was, now) for was, now in zip(self._numpy, np.random.get_state(), strict=True))
        if random.getstate() == self._python and same_numpy and torch.equal(torch.get_rng_state(), self._torch):
            return False
        random.setstate(self._python)
        np.random.set_state(self._numpy)
        torch.set_rng_state(self._torch)
        return True
