"""Every part of a game trains on two ranks, which stay equal: one start of two processes for all of them.

A rank has its own samples and its own draws; what a part computes may differ, but not the state that it leaves: after
a few steps all weights, and what adapts, are the same on both, bit for bit.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.multiprocessing.spawn import ProcessException

from ganforge.errors import GanforgeError
from ganforge.recipe import resolve
from ganforge.registry import Component, load_plugins, register
from ganforge.testing.losses import is_of_translations
from ganforge.testing.processes import launch_two
from ganforge.testing.small import NARROW, PICTURES, is_translator, options_of

PLAYING = (
    "generator",
    "discriminator",
    "objective",
    "penalty",
    "augment",
    "degradation",
    "optimizer",
    "schedule",
)
STEPS = 3
PICTURES_PLUGIN = "ganforge.testing.pictures"

Part = tuple[str, str]
"""Kind and name of a component."""

_played: dict[tuple[Part, ...], dict[Part, str]] = {}


@pytest.mark.xdist_group("processes")
@pytest.mark.ganforge_components(*PLAYING)
def test_two_ranks_train_it_and_stay_equal(component: Component, request: pytest.FixtureRequest) -> None:
    parts = _all_parts(request)
    key = tuple(parts)
    if key not in _played:
        _played[key] = _play_until_all_are_done(list(key), [part.described.__module__ for part in parts.values()])
    assert _played[key][component.kind, component.name] == ""


def _play_until_all_are_done(parts: list[Part], modules: list[str]) -> dict[Part, str]:
    """Run all parts in one start; after a part that ended its process, start again for the rest."""
    found: dict[Part, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        while left := [part for part in parts if part not in found]:
            report.unlink(missing_ok=True)
            try:
                launch_two(play_all, (left, modules, str(report)))
            except ProcessException as error:
                done = _read(report)
                found |= done
                found[left[len(done)]] = str(error)
            else:
                found |= _read(report)
    return found


def _read(report: Path) -> dict[Part, str]:
    lines = report.read_text().splitlines() if report.exists() else []
    return {(kind, name): problem for kind, name, problem in map(json.loads, lines)}


def _all_parts(request: pytest.FixtureRequest) -> dict[Part, Component]:
    """The parts of all collected tests of this module, so that one start serves them all."""
    found: dict[Part, Component] = {}
    for item in request.session.items:
        if isinstance(item, pytest.Function) and item.originalname == request.node.originalname:
            part = item.callspec.params["component"]
            assert isinstance(part, Component)
            found[part.kind, part.name] = part
    return found


def play_all(parts: list[Part], modules: list[str], report: str) -> None:
    """In each rank: a short game for each part; rank 0 writes a line for each, with what was wrong or nothing."""
    load_plugins([PICTURES_PLUGIN, *dict.fromkeys(modules)])
    for kind, name in parts:
        try:
            problem = _play(kind, name)
        except GanforgeError as error:  # on both ranks: the message that a recipe's author would see
            problem = str(error)
        if os.environ["RANK"] == "0":
            with open(report, "a") as file:
                file.write(json.dumps([kind, name, problem]) + "\n")


def _play(kind: str, name: str) -> str:
    """Try points, then pictures of several sizes; what the last refusal says, or what differs between the ranks."""
    from ganforge.training.run import Run
    from ganforge.training.step import begin_step, finish_step, move

    refusal = ""
    for data in _datasets():
        try:
            run = Run.build(resolve(_recipe(kind, name, data)))
        except GanforgeError as error:
            refusal = str(error)
            continue
        try:
            for _ in range(STEPS):
                begin_step(run)
                for moving, resting in ((run.discriminator, run.generator), (run.generator, run.discriminator)):
                    if run.schedule.moves(moving.role):
                        move(run, moving, resting)
                finish_step(run)
            return _difference(run)
        except GanforgeError as error:
            refusal = str(error)
        finally:
            run.close()
    return refusal


def _datasets() -> Iterator[dict[str, Any]]:
    yield {"name": "ring", "samples": 64}
    for spec in PICTURES:
        yield {"name": "testing_pictures", "channels": spec.channels, "size": spec.height}


def _recipe(kind: str, name: str, data: dict[str, Any]) -> dict[str, Any]:
    """A game of two small networks with the part in its place."""
    component = register.kind(kind).get(name)
    options = options_of(component).model_dump(mode="json", exclude_none=True)
    narrow = {key: size for key, size in NARROW.items() if key in component.options.model_fields}
    part = {"name": name, **options, **narrow}
    table: dict[str, Any] = {
        "name": "two-ranks",
        "data": data,
        "generator": {"name": "mlp", "width": 8},
        "discriminator": {"name": "mlp", "width": 8},
        "training": {"steps": STEPS, "batch_size": 8, "precision": "no"},
    }
    if kind == "objective" and getattr(component.factory, "needs_classifier", False):
        table["discriminator"]["conditional"] = "classifier"
    if is_translator(component) or kind == "degradation" or is_of_translations(component):
        table |= _source(component, data)
    if kind == "degradation":
        table["degrade"] = [part]
    elif kind in ("penalty", "augment"):
        table[{"penalty": "penalties", "augment": "augment"}[kind]] = [part]
    elif kind == "optimizer":
        table["optimizer"] = {"generator": part, "discriminator": part}
    else:
        table[kind] = part
    return table


def _source(component: Component, data: dict[str, Any]) -> dict[str, Any]:
    """What makes a game a translation: another dataset for a penalty that goes back, else something computed."""
    translator = {"name": "unet_translator", "width": 8, "depth": 2}
    if getattr(component.factory, "goes_back", False):
        return {"generator": translator, "domain": data}
    return {"generator": translator, "degrade": [{"name": "blur"}]}


def _difference(run: Any) -> str:
    """Message about what is not the same on both ranks."""
    with run.statistics.for_evaluation():
        states = {player: network.state_dict() for player, network in run.saved_networks().items()}
        states["augmentations"] = run.augment.state_dict()
        digests = {
            f"{part}'s {name}": hashlib.sha256(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
            .hexdigest()
            for part, state in states.items()
            for name, tensor in state.items()
            if tensor.numel()
        }  # fmt: skip
    everywhere: list[Any] = [None, None]
    torch.distributed.all_gather_object(everywhere, digests)
    different = [name for name in digests if everywhere[0][name] != everywhere[1][name]]
    if not different:
        return ""
    return f"after {STEPS} steps {len(different)} tensors are not the same on both ranks, such as the {different[0]}"
