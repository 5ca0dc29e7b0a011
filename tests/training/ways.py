"""Ways to run a recipe on two real processes over gloo, and what comes out of each, for the tests beside this file."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import PartialState
from PIL import Image
from rich.console import Console
from two_processes import launch_two

from ganforge.recipe import Recipe, dump, load
from ganforge.training.loop import train
from ganforge.training.progress import ProgressDisplay
from ganforge.training.run import Run

needs_deepspeed = pytest.mark.skipif(find_spec("deepspeed") is None, reason="pip install 'ganforge[deepspeed]'")

ZERO = {
    stage: {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": str(stage)} for stage in (0, 1, 2, 3)
}


@dataclass
class Figures:
    """Stands where trackers stand and keeps what a run logs."""

    lines: list[dict[str, float]] = field(default_factory=list)

    def figures(self, step: int, figures: dict[str, float]) -> None:
        # Time is each rank's own; the doctor counts neighbours, and a rounding can make one more or less.
        left_out = ("second", "wait", "health/")
        timeless = {key: value for key, value in figures.items() if not any(part in key for part in left_out)}
        self.lines.append({"step": step, **timeless})

    def picture(self, step: int, name: str, picture: Image.Image) -> None:
        pass

    def summary(self, values: dict[str, Any]) -> None:
        pass

    def alert(self, title: str, text: str) -> None:
        pass


def outcome(recipe: Recipe) -> dict[str, Any]:
    """Train in this process; weights of all networks and the log of losses."""
    run = Run.build(recipe)
    recipe.folder.mkdir(parents=True, exist_ok=True)
    log = Figures()
    # Every rank gets one: reducing figures is collective anyway, and pictures go into the test's folder.
    train(run, log, ProgressDisplay(Console(quiet=True), start=0, total=1))  # type: ignore[arg-type]
    with run.shown():
        networks = {name: copy.deepcopy(network.state_dict()) for name, network in run.saved_networks().items()}
    return {"networks": networks, "losses": log.lines, "layout": run.generator.engine.layout}


def _write_outcome(path: str) -> None:
    found = outcome(load(path))
    assert PartialState().num_processes == 2
    torch.save(found, Path(path).with_name(f"rank{PartialState().process_index}.pt"))


def on_two(
    recipe: Recipe, folder: Path, environment: dict[str, str], prepare: Callable[[], None] | None = None
) -> list[dict[str, Any]]:
    """What two processes come to, rank by rank."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "recipe.toml"
    path.write_text(dump(recipe))
    launch_two(_write_outcome, (str(path),), environment, prepare)
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
