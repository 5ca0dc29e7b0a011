"""No step waits for the device or mixes it with the host, for any recipe and any part; see `device_walk`."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ganforge.game.penalty import Penalty
from ganforge.game.turn import Turn
from ganforge.recipe import parse, resolve
from ganforge.registry import register
from training.device_walk import narrowed, walk

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))
DOWNLOADED = {
    "celeba64": (64, 3), "celeba64-lsgan": (64, 3), "celeba64-r3gan": (64, 3), "ffhq64-r3gan": (64, 3),
    "ffhq256-stylegan2": (256, 3), "cifar32": (32, 3), "cifar32-sngan": (32, 3), "mnist28": (28, 1),
    "imagenet128-biggan": (128, 3), "imagenet64-sagan": (64, 3), "facades256-pix2pix": (256, 3),
    "horse2zebra256-cyclegan": (256, 3),
}  # fmt: skip
"""Side and channels of pictures that random ones stand in for."""

SMALL: dict[str, Any] = {
    "name": "walked",
    "plugins": ["ganforge.testing.pictures"],
    "data": {"name": "testing_pictures", "size": 32, "channels": 3},
    "generator": {"name": "dcgan", "width": 8},
    "discriminator": {"name": "dcgan", "width": 8},
    "training": {"steps": 10, "batch_size": 8, "log_every": 1},
}


def parts(kind: str, *without: str) -> list[str]:
    return [component.name for component in register.kind(kind).loaded() if component.name not in without]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipes_step_neither_waits_for_the_device_nor_mixes_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a line of the log, and so the doctor's look, at every step."""
    tables = parse(path)
    if path.stem in DOWNLOADED:
        side, channels = DOWNLOADED[path.stem]
        tables["data"] = {"name": "testing_pictures", "size": side, "channels": channels}
        tables["plugins"] = ["ganforge.testing.pictures"]
        if "domain" in tables:
            tables["domain"] = tables["data"]
        if path.stem == "facades256-pix2pix":  # a source as large as the stored one
            tables["degrade"] = [{"name": "blur"}]
    tables["training"] |= {"batch_size": 8, "steps": 10, "log_every": 1}
    tables["evaluation"] = {"metrics": []}
    assert walk(resolve(narrowed(tables, resolve(tables))), monkeypatch) == set()


@pytest.mark.parametrize(
    "part",
    [
        *({"objective": {"name": name}} for name in parts("objective", "acgan")),
        {"objective": {"name": "acgan"}, "discriminator": {"name": "dcgan", "width": 8, "conditional": "classifier"}},
        *({"penalties": [{"name": name}]} for name in parts("penalty", "pixel", "cycle", "identity")),
        *({"augment": [{"name": name}]} for name in parts("augment")),
        *({"schedule": {"name": name}} for name in parts("schedule")),
        {"training": {**SMALL["training"], "discriminator_micro_batches": 2, "generator_turns": 2}},
        {"performance": {"reuse_fakes": True}},
        {"optimizer": {"discriminator": {"name": "adam", "clip_norm": 1.0, "clip_value": 1.0, "clip_weights": 0.1}}},
        {"discriminator": {"name": "dcgan", "width": 8, "packing": 2}},
    ],
    ids=str,
)
def test_a_part_of_a_step_neither_waits_for_the_device_nor_mixes_it(
    part: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert walk(resolve({**SMALL, **part}), monkeypatch, steps=1) == set()


def count(turn: Turn) -> Tensor:
    return turn.real.sum() * turn.real.sum().item()


def decide(turn: Turn) -> Tensor:
    return turn.real.sum() if turn.real.sum() > 0 else turn.real.mean()


def select(turn: Turn) -> Tensor:
    return turn.real[turn.real > 0].mean()


def make(turn: Turn) -> Tensor:
    return turn.real.mean() * torch.tensor(2.0, device=turn.real.device)


def send(turn: Turn) -> Tensor:
    return turn.real.mean() * torch.ones(3).to(turn.real.device).mean()


def fetch(turn: Turn) -> Tensor:
    return turn.real.mean() * float(turn.real.cpu().shape[0])


def mix(turn: Turn) -> Tensor:
    return (turn.real.mean((1, 2, 3)) * torch.arange(8.0)).mean()


def mix_matrices(turn: Turn) -> Tensor:
    return (turn.real.flatten(1) @ torch.ones(3 * 32 * 32, 1)).mean()


@pytest.mark.parametrize(
    ("careless", "reason"),
    [
        (count, "cannot be called on meta tensors"),
        (decide, "cannot be called on meta tensors"),
        (select, "nonzero"),
        (make, "made of values on the host"),
        (send, "a copy from the host is not pinned"),
        (fetch, "out of meta tensor"),
        (mix, "not on the expected device meta"),
        (mix_matrices, "mm mixes devices"),
    ],
    ids=lambda item: getattr(item, "__name__", ""),
)
def test_a_penalty_that_waits_or_mixes_is_seen(careless: Any, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such an operation is either reported with its place, or impossible without data."""
    monkeypatch.setattr(register.penalty, "_components", dict(register.penalty._components))

    @register.penalty("careless")
    class Careless(Penalty):
        """Not as one should."""

        player = "discriminator"
        sees_real = True

        def __init__(self) -> None: ...

        def __call__(self, turn: Turn) -> Tensor:
            return careless(turn)

    try:
        found = walk(resolve({**SMALL, "penalties": [{"name": "careless"}]}), monkeypatch, steps=1)
    except (RuntimeError, NotImplementedError) as error:
        found = {str(error)}
    assert reason in " ".join(found)
