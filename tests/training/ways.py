"""Ways to run a recipe on two real processes over gloo, and what comes out of each, for the tests beside this file."""

import base64
import copy
import json
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
from ganforge.training.run import Run
from ganforge.training.telemetry.progress import ProgressDisplay

needs_deepspeed = pytest.mark.skipif(find_spec("deepspeed") is None, reason="pip install 'ganforge[deepspeed]'")

ZERO = {
    stage: {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_DEEPSPEED_ZERO_STAGE": str(stage)} for stage in (0, 1, 2, 3)
}
# Weights below a threshold may stay on every rank from turn to turn, and all networks of tests are below it.
ALL_IN_PARTS = {"zero_optimization": {"stage": 3, "stage3_param_persistence_threshold": 0}}
ZERO[3]["ACCELERATE_DEEPSPEED_CONFIG_FILE"] = base64.urlsafe_b64encode(json.dumps(ALL_IN_PARTS).encode()).decode()


def allowed(table: dict[str, Any], environment: dict[str, str]) -> dict[str, Any]:
    """A recipe's table without penalties where ZeRO 3 would refuse R1."""
    return {**table, "penalties": []} if environment is ZERO[3] else table


@dataclass
class Figures:
    """Stands where trackers stand and keeps what a run logs, what the doctor looks at apart."""

    lines: list[dict[str, float]] = field(default_factory=list)
    health: list[dict[str, float]] = field(default_factory=list)

    def figures(self, step: int, figures: dict[str, float]) -> None:
        # Time is each rank's own; the doctor counts neighbours, and a rounding can make one more or less.
        left_out = ("second", "wait", "health/")
        timeless = {key: value for key, value in figures.items() if not any(part in key for part in left_out)}
        self.lines.append({"step": step, **timeless})
        self.health.append({key: value for key, value in figures.items() if key.startswith("health/")})

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
    with run.statistics.for_evaluation(), run.gathered():
        networks = {name: copy.deepcopy(network.state_dict()) for name, network in run.saved_networks().items()}
        samples = run.game.sample("samples", range(recipe.samples.num))
    return {
        "networks": networks,
        "losses": log.lines,
        "health": log.health,
        "samples": samples,
        "layout": run.generator.engine.layout,
    }


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
    """Bit for bit: weights, losses, samples, and what the doctor saw on both (shards hide the gradients' norm)."""
    for name in one["networks"]:
        for key, tensor in one["networks"][name].items():
            assert torch.equal(tensor, other["networks"][name][key]), f"{name}.{key}"
    assert one["losses"] == other["losses"]
    assert torch.equal(one["samples"], other["samples"])
    for mine, theirs in zip(one["health"], other["health"], strict=True):
        hidden = {"health/gradient_discriminator", "health/gradient_generator"}
        assert mine.keys() ^ theirs.keys() <= hidden
        assert {**mine, **dict.fromkeys(hidden)} == {**theirs, **dict.fromkeys(hidden)}


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
