"""What a step sends: each player's gradients once in its own turn, and nothing else that grows with the networks."""

import json
from pathlib import Path

import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from two_processes import DDP, launch_two

from ganforge.recipe import dump, load
from ganforge.training.run import Run
from training.ways import ZERO, allowed, needs_deepspeed

PICTURES = {
    "data": {"name": "digits", "size": 16},
    "generator": {"name": "dcgan", "width": 4, "latent_dim": 8},
    "discriminator": {"name": "dcgan", "width": 4},
    "training": {"steps": 5, "batch_size": 8},
    "penalties": [{"name": "r1", "gamma": 0.1}],
}


def _sent(path: str) -> None:
    """Per player: parameters, and the collectives of one of its turns as (kind, elements)."""
    run = Run.build(load(path))
    found = {}
    for _ in range(3):  # DDP settles its buckets in the first steps
        for moving, resting in ((run.discriminator, run.generator), (run.generator, run.discriminator)):
            with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as record, resting.frozen():
                for piece, turn in enumerate(run.game.turns(moving, run.step, 0)):
                    moving.learn(turn, piece)
                moving.update(run.step)
            events = [event for event in record.events() or () if event.name.startswith("gloo:")]
            calls = [(event.name, int(torch.Size(event.input_shapes[0]).numel())) for event in events]
            with moving.engine.gathered():
                found[moving.role] = (sum(weight.numel() for weight in moving.network.parameters()), sorted(calls))
        run.progress.advance(8)
    if run.accelerator.is_main_process:
        Path(path).with_suffix(".json").write_text(json.dumps(found))


def sent(recipe, folder: Path, environment: dict[str, str]) -> dict[str, tuple[int, list[list]]]:
    path = folder / "recipe.toml"
    path.write_text(dump(recipe))
    launch_two(_sent, (str(path),), environment)
    return json.loads(path.with_suffix(".json").read_text())


@pytest.mark.parametrize("pieces", [1, 2])
def test_ddp_sends_each_players_gradients_once_in_its_turn_and_nothing_else(make_recipe, tmp_path, pieces):
    training = {**PICTURES["training"], "discriminator_micro_batches": pieces, "generator_micro_batches": pieces}
    found = sent(make_recipe(**{**PICTURES, "training": training}), tmp_path, DDP)
    for parameters, calls in found.values():
        assert calls == [["gloo:all_reduce", parameters]]


def test_gradients_of_a_network_of_several_buckets_are_sent_once_too(make_recipe, tmp_path):
    wide = {role: {"name": "mlp", "width": 512} for role in ("generator", "discriminator")}
    found = sent(make_recipe(**wide), tmp_path, DDP)
    for parameters, calls in found.values():
        assert len(calls) > 1
        assert sum(elements for _, elements in calls) == parameters


@needs_deepspeed
@pytest.mark.slow
def test_zero_0_sends_what_ddp_sends_once_for_all_pieces(make_recipe, tmp_path):
    training = {**PICTURES["training"], "discriminator_micro_batches": 2, "generator_micro_batches": 2}
    found = sent(make_recipe(**{**PICTURES, "training": training}), tmp_path, ZERO[0])
    for parameters, calls in found.values():
        assert calls == [["gloo:all_reduce", parameters]]


@needs_deepspeed
@pytest.mark.slow
@pytest.mark.parametrize(("stage", "pieces", "reductions"), [(1, 1, 1), (1, 2, 1), (2, 1, 1), (2, 2, 2)])
def test_zero_1_and_2_send_gradients_a_norm_and_the_new_weights(make_recipe, tmp_path, stage, pieces, reductions):
    """Stage 2 keeps no whole gradients from piece to piece, so it must send those of every piece."""
    training = {**PICTURES["training"], "discriminator_micro_batches": pieces, "generator_micro_batches": pieces}
    for parameters, calls in sent(make_recipe(**{**PICTURES, "training": training}), tmp_path, ZERO[stage]).values():
        gathered, norm, *gradients = calls
        assert gathered == ["gloo:all_gather", parameters // 2]
        assert norm == ["gloo:all_reduce", 1]
        assert gradients == [["gloo:all_reduce", parameters]] * reductions


@needs_deepspeed
@pytest.mark.slow
@pytest.mark.parametrize("pieces", [1, 2])
def test_zero_3_sends_the_gradients_of_every_piece_and_weights_for_every_pass(make_recipe, tmp_path, pieces):
    training = {**PICTURES["training"], "discriminator_micro_batches": pieces, "generator_micro_batches": pieces}
    recipe = make_recipe(**{**allowed(PICTURES, ZERO[3]), "training": training})
    found = sent(recipe, tmp_path, ZERO[3])
    for parameters, calls in found.values():
        assert calls.count(["gloo:all_reduce", parameters]) == pieces
        gathered = sum(2 * elements for kind, elements in calls if kind == "gloo:all_gather")
        assert gathered > pieces * parameters
