import math
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState

from ganforge.errors import LaunchError
from ganforge.parallel import start
from ganforge.saved.checkpoint import Checkpoint, whole_checkpoints
from ganforge.training.run import Run
from ganforge.training.saving.restore import restore


def test_bf16_trains_and_keeps_float32_weights(make_recipe, build_and_train):
    recipe = make_recipe(
        data={"name": "digits", "size": 16},
        generator={"name": "dcgan", "width": 4, "latent_dim": 8},
        discriminator={"name": "dcgan", "width": 4},
        training={"steps": 3, "batch_size": 8, "precision": "bf16", "log_every": 100},
        penalties=[{"name": "r1", "gamma": 0.1}],
    )
    run = build_and_train(recipe)
    weights = [parameter for player in (run.generator, run.discriminator) for parameter in player.network.parameters()]
    assert {str(weight.dtype) for weight in weights} == {"torch.float32"}
    assert all(math.isfinite(float(weight.detach().sum())) for weight in weights)


def test_the_resting_player_computes_in_the_runs_precision_too(make_recipe):
    run = Run.build(make_recipe(training={"precision": "bf16"}))
    seen = []
    networks: tuple[Any, ...] = (run.networks.generator, run.networks.discriminator)
    for network in networks:
        network.hidden.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    with run.discriminator.frozen():
        run.generator.loss(run.game.turns(run.generator, run.step, 0)[0])
    assert seen == [torch.bfloat16] * 2


def test_auto_takes_the_precision_of_accelerates_config(make_recipe, monkeypatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    assert Run.build(make_recipe()).accelerator.mixed_precision == "bf16"


def test_fp16_on_a_cpu_would_train_without_its_scaler_and_is_refused(make_recipe, build_and_train):
    with pytest.raises(LaunchError, match="fp16 needs a GPU"):
        build_and_train(make_recipe(training={"precision": "fp16"}))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="gradient scalers need a GPU")
def test_fp16_has_a_scaler_a_player_that_a_resume_restores(make_recipe, train_silently):
    table = {"training": {"steps": 4, "precision": "fp16"}, "checkpoint": {"every": 2, "keep_last": 9}}
    recipe = make_recipe(**table)
    train_silently(recipe)
    state = Checkpoint(whole_checkpoints(recipe.folder / "checkpoints")[-1]).plain("training")
    assert all(state[role]["engine"]["scaler"]["scale"] > 0 for role in ("discriminator", "generator"))

    AcceleratorState._reset_state(reset_partial_state=True)
    run = Run.build(recipe)
    scalers: list[Any] = [player.accelerator.scaler for player in (run.discriminator, run.generator)]
    assert scalers[0] is not scalers[1]
    restore(run, Checkpoint(whole_checkpoints(recipe.folder / "checkpoints")[0]))
    assert all(scaler._growth_tracker == 2 or scaler._init_growth_tracker == 2 for scaler in scalers)


def test_a_precision_that_accelerate_refuses_is_refused_in_words(monkeypatch):
    monkeypatch.setattr(start, "Accelerator", _raises)
    with pytest.raises(LaunchError, match=r"training.precision = 'fp16': not here"):
        start.make_accelerator("fp16")


def _raises(**_):
    raise ValueError("not here")
