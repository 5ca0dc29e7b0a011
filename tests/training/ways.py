"""Ways to run a recipe on two real processes over gloo, and what comes out of each, for the tests beside this file."""

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState, PartialState
from PIL import Image
from rich.console import Console
from torch.multiprocessing.spawn import start_processes

from ganforge.recipe import Recipe, dump, load
from ganforge.training.loop import train
from ganforge.training.progress import ProgressDisplay
from ganforge.training.run import Run

needs_deepspeed = pytest.mark.skipif(find_spec("deepspeed") is None, reason="pip install 'ganforge[deepspeed]'")

DDP = {"ACCELERATE_USE_CPU": "yes"}
ZERO = {
    stage: {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": str(stage)} for stage in (0, 1, 2, 3)
}


@dataclass
class Figures:
    """Stands where trackers stand and keeps what a run logs."""

    lines: list[dict[str, float]] = field(default_factory=list)

    def figures(self, step: int, figures: dict[str, float]) -> None:
        timeless = {key: value for key, value in figures.items() if "second" not in key and "wait" not in key}
        self.lines.append({"step": step, **timeless})

    def picture(self, step: int, name: str, picture: Image.Image) -> None:
        pass

    def summary(self, values: dict[str, Any]) -> None:
        pass


def outcome(recipe: Recipe) -> dict[str, Any]:
    """Train in this process; weights of all networks and the log of losses."""
    run = Run.build(recipe)
    recipe.folder.mkdir(parents=True, exist_ok=True)
    log = Figures()
    # Every rank gets one: reducing figures is collective anyway, and pictures go into the test's folder.
    train(run, log, ProgressDisplay(Console(quiet=True), start=0, total=1))  # type: ignore[arg-type]
    run.share_running_statistics()
    networks = {name: network.state_dict() for name, network in run.saved_networks().items()}
    return {"networks": networks, "losses": log.lines, "layout": run.generator.engine.layout}


def launch_two(function: Callable[..., None], arguments: tuple[Any, ...], environment: dict[str, str]) -> None:
    """Run a function in two forked processes, in the environment that a launcher would have left."""
    if "ACCELERATE_USE_DEEPSPEED" in environment:
        import deepspeed  # noqa: F401  # once, here, and not in each process
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    common |= {"GLOO_SOCKET_IFNAME": "lo", **environment}
    ranks = start_processes(_rank, args=(function, arguments, common), nprocs=2, join=False, start_method="fork")
    while not ranks.join(grace_period=2):  # when one fails the other is ended
        pass


def _rank(rank: int, function: Callable[..., None], arguments: tuple[Any, ...], environment: dict[str, str]) -> None:
    AcceleratorState._reset_state(reset_partial_state=True)
    torch.set_num_threads(1)
    os.environ.update({**environment, "RANK": str(rank), "LOCAL_RANK": str(rank)})
    function(*arguments)
    torch.distributed.destroy_process_group()


def _write_outcome(path: str) -> None:
    found = outcome(load(path))
    assert PartialState().num_processes == 2
    torch.save(found, Path(path).with_name(f"rank{PartialState().process_index}.pt"))


def on_two(recipe: Recipe, folder: Path, environment: dict[str, str]) -> list[dict[str, Any]]:
    """What two processes come to, rank by rank."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "recipe.toml"
    path.write_text(dump(recipe))
    launch_two(_write_outcome, (str(path),), environment)
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]


def assert_equal(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Bit for bit, weights and losses."""
    for name in one["networks"]:
        for key, tensor in one["networks"][name].items():
            assert torch.equal(tensor, other["networks"][name][key]), f"{name}.{key}"
    assert one["losses"] == other["losses"]


def assert_close(one: dict[str, Any], other: dict[str, Any], rtol: float, atol: float) -> None:
    """To rounding, weights and losses."""
    for name in one["networks"]:
        for key, tensor in one["networks"][name].items():
            torch.testing.assert_close(
                tensor, other["networks"][name][key], rtol=rtol, atol=atol, msg=f"{name}.{key}: ".__add__
            )
    for mine, theirs in zip(one["losses"], other["losses"], strict=True):
        assert mine.keys() == theirs.keys()
        for key in mine:
            assert abs(mine[key] - theirs[key]) <= atol * 10 + rtol * 10 * abs(theirs[key]), (key, mine, theirs)
