"""What moves a run beside its losses: ramps, schedules, limits, packing, the average's start and statistics."""

import json
from typing import Any

import pytest
import torch
from torch import nn

from ganforge.errors import RecipeError
from ganforge.game.averaged import AveragedGenerator
from ganforge.game.packed import PackedDiscriminator, packed_spec
from ganforge.game.rank_batch_norm import LocalBatchNorm
from ganforge.spec import DataSpec
from ganforge.training.between_steps.doctor import only_finite
from ganforge.training.run import Run
from ganforge.training.step import begin_step, finish_step, move


def ramp(option: str, start: float = 0.0, end: float = 1.0, **others) -> dict:
    return {"option": option, "start": start, "end": end, "over": 64, **others}


@pytest.mark.parametrize(("shape", "halfway"), [("linear", 2.5), ("cosine", 2.5), ("exponential", 2.0)])
def test_a_ramp_is_a_function_of_the_images(make_recipe, shape, halfway):
    table = ramp("penalties.0.gamma", 1.0, 4.0, begin=32, shape=shape)
    run = Run.build(make_recipe(penalties=[{"name": "r1"}], ramps=[table]))
    gammas = []
    for step in (0, 1, 2, 3, 9):
        run.progress.step, run.progress.images = step, 32 * step
        begin_step(run)
        gammas.append(vars(run.discriminator.penalties[0].penalty)["gamma"])
    assert gammas == pytest.approx([1.0, 1.0, halfway, 4.0, 4.0])


@pytest.mark.parametrize(
    ("option", "look"),
    [
        ("objective.real_label", lambda run: run.discriminator.objective.real_label),
        ("penalties.0.weight", lambda run: run.discriminator.penalties[0].weight),
        ("augment.0.sigma", lambda run: run.augment[0].sigma),
        ("optimizer.generator.betas.1", lambda run: run.generator.engine.param_groups[0]["betas"][1]),
        ("optimizer.generator.weight_decay", lambda run: run.generator.engine.param_groups[0]["weight_decay"]),
        ("optimizer.discriminator.clip_norm", lambda run: run.discriminator.limits.clip_norm),
        ("training.ema", lambda run: run.averaged.half_life),
    ],
)
def test_a_ramp_reaches_the_part_that_it_names(make_recipe, option, look):
    recipe = make_recipe(
        penalties=[{"name": "r1"}], augment=[{"name": "instance_noise"}], ramps=[ramp(option, 0.1, 0.9)]
    )
    run = Run.build(recipe)
    run.progress.step, run.progress.images = 1, 32
    begin_step(run)
    assert look(run) == pytest.approx(0.5)


def test_a_ramped_learning_rate_is_still_warmed_up(make_recipe):
    optimizer = {"generator": {"name": "adam", "warmup": 4}}
    run = Run.build(make_recipe(optimizer=optimizer, ramps=[ramp("optimizer.generator.lr", 0.2, 0.1)]))
    run.progress.step, run.progress.images = 1, 32
    begin_step(run)
    move(run, run.generator, run.discriminator)
    assert run.generator.engine.param_groups[0]["lr"] == pytest.approx(0.15 * 2 / 4)


@pytest.mark.parametrize("option", ["generator.width", "penalties.0.interval", "training.steps"])
def test_options_that_were_read_once_cannot_move(make_recipe, option):
    with pytest.raises(RecipeError, match="cannot move while training"):
        Run.build(make_recipe(penalties=[{"name": "r1"}], ramps=[ramp(option, 1.0, 2.0)]))


def test_a_resumed_run_ramps_as_if_it_had_never_stopped(make_recipe, train_silently):
    def last_line(**changes) -> dict:
        recipe = make_recipe(augment=[{"name": "instance_noise"}], ramps=[ramp("augment.0.sigma", 1.0, 0.0)], **changes)
        train_silently(recipe)
        return json.loads((recipe.folder / "metrics.jsonl").read_text().splitlines()[-1])

    whole = last_line(name="whole")
    last_line(name="parts", training={"steps": 3})
    parts = last_line(name="parts")
    assert parts["ramp/augment.0.sigma"] == whole["ramp/augment.0.sigma"] == 0.0
    assert parts["generator/loss"] == whole["generator/loss"]


# --- the schedule of the game ----------------------------------------------------------------------


def test_a_paused_discriminator_stays_as_it_is_and_takes_no_data(make_recipe, build_and_train):
    schedule = {"name": "two_phase", "high": 0.01, "low": 0.001, "window": 1}
    run = build_and_train(make_recipe(schedule=schedule))
    assert run.step == 6
    assert run.loader.position == run.recipe.training.batch_size
    assert not run.schedule.moves("discriminator")


def test_a_paused_run_resumes_paused_and_bit_for_bit(make_recipe, train_silently):
    schedule = {"name": "two_phase", "high": 0.3, "low": 0.2, "window": 2}

    def figures(**changes) -> list[tuple[float, float]]:
        recipe = make_recipe(schedule=schedule, **changes)
        train_silently(recipe)
        lines = [json.loads(line) for line in (recipe.folder / "metrics.jsonl").read_text().splitlines()]
        return [(line["generator/loss"], line["schedule/discriminator_pauses"]) for line in lines]

    whole = figures(name="whole", training={"steps": 12})
    figures(name="parts", training={"steps": 5})
    assert figures(name="parts", training={"steps": 12}) == whole
    assert {pauses for _, pauses in whole} == {0.0, 1.0}


@pytest.mark.parametrize(
    ("objective", "fits"),
    [
        ({"name": "wasserstein"}, False),
        ({"name": "relativistic"}, False),
        ({"name": "lsgan"}, False),
        ({"name": "lsgan", "fake_target": -1.0}, True),
        ({"name": "hinge"}, True),
    ],
)
def test_a_schedule_that_goes_by_accuracy_wants_an_objective_that_has_one(make_recipe, objective, fits):
    recipe = make_recipe(objective=objective, schedule={"name": "two_phase"})
    if fits:
        run = Run.build(recipe)
        one_turn(run)
        assert "discriminator/accuracy_real" in run.meters.reduce(run.accelerator)
    else:
        with pytest.raises(RecipeError, match="relies on the sign of D's logits"):
            Run.build(recipe)
        run = Run.build(make_recipe(objective=objective))
        one_turn(run)
        assert "discriminator/accuracy_real" not in run.meters.reduce(run.accelerator)


# --- limits ----------------------------------------------------------------------------------------


def one_turn(run: Run) -> None:
    begin_step(run)
    move(run, run.discriminator, run.generator)
    finish_step(run)


def test_weights_stay_within_their_limit(make_recipe):
    optimizer = {"discriminator": {"name": "rmsprop", "clip_weights": 0.01}}
    run = Run.build(make_recipe(optimizer=optimizer))
    one_turn(run)
    weights = torch.cat([parameter.detach().flatten() for parameter in run.networks.discriminator.parameters()])
    assert weights.abs().max() == pytest.approx(0.01)


@pytest.mark.parametrize("limit", [{"clip_norm": 1e-3}, {"clip_value": 1e-4}, {"clip_norm": 1e-3, "clip_value": 1.0}])
def test_gradients_stay_within_their_limit(make_recipe, limit):
    optimizer = {"discriminator": {"name": "sgd", "lr": 1.0, **limit}}
    run = Run.build(make_recipe(optimizer=optimizer))
    before = [parameter.detach().clone() for parameter in run.networks.discriminator.parameters()]
    one_turn(run)
    after = run.networks.discriminator.parameters()
    moved = torch.cat([(new.detach() - old).flatten() for new, old in zip(after, before, strict=True)])
    if "clip_norm" in limit:
        assert moved.norm() == pytest.approx(1e-3, rel=1e-3)
        assert run.meters.reduce(run.accelerator)["discriminator/gradient_norm"] > 1e-3
    else:
        assert moved.abs().max() == pytest.approx(1e-4, rel=1e-3)


# --- packing ---------------------------------------------------------------------------------------


def test_a_packed_discriminator_sees_neighbours_side_by_side():
    spec = DataSpec((3, 4, 4), ("a", "b"))
    assert packed_spec(spec, 2) == DataSpec((6, 4, 4))
    seen = []

    class Spy(nn.Module):
        def forward(self, samples, labels=None):
            seen.append((samples, labels))
            return samples.flatten(1).sum(1)

    samples = torch.arange(4 * 3 * 4 * 4.0).reshape(4, 3, 4, 4)
    logits = PackedDiscriminator(Spy(), 2)(samples, torch.zeros(4))
    ((packed, labels),) = seen
    assert logits.shape == (2,)
    assert labels is None
    torch.testing.assert_close(packed[1], torch.cat((samples[2], samples[3])))


def test_packing_trains_with_penalties_and_is_part_of_the_recipe(make_recipe, build_and_train):
    run = build_and_train(make_recipe(discriminator={"packing": 4}, penalties=[{"name": "r1"}]))
    layers = [layer for layer in run.networks.discriminator.modules() if isinstance(layer, nn.Linear)]
    assert layers[0].in_features == 4 * 2
    with pytest.raises(RecipeError, match="packs of 3 do not divide the batch of 32"):
        make_recipe(discriminator={"packing": 3})
    with pytest.raises(RecipeError, match="packs of 8"):
        Run.build(make_recipe(discriminator={"packing": 8}, training={"discriminator_micro_batches": 8}))


# --- the average -----------------------------------------------------------------------------------


def test_the_average_starts_when_the_recipe_says():
    generator = nn.Linear(1, 1)
    averaged: Any = AveragedGenerator(generator, half_life=100.0, rampup=0.0, start=64)
    for images, follows in ((32, True), (64, True), (96, False)):
        nn.init.constant_(generator.weight, float(images))
        averaged.update(generator, images=images, batch=32)
        assert (float(averaged.network.weight) == images) == follows


def test_reestimated_statistics_are_those_of_the_averages_own_batches():
    torch.manual_seed(0)

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.norm = nn.Linear(3, 2), nn.SyncBatchNorm(2)

        def forward(self, latent, labels=None):
            return self.norm(self.first(latent))

    averaged: Any = AveragedGenerator(Network(), half_life=0.0, rampup=0.0)
    batches = [(torch.randn(50, 3), None) for _ in range(4)]
    averaged.reestimate(iter(batches))
    norm = averaged.network.norm
    assert isinstance(norm, LocalBatchNorm)
    assert not norm.training
    assert norm.momentum == 0.1
    inputs = [averaged.network.first(latent) for latent, _ in batches]
    torch.testing.assert_close(norm.running_mean, torch.stack([part.mean(0) for part in inputs]).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack([part.var(0) for part in inputs]).mean(0))


def test_a_run_that_reestimates_resumes_bit_for_bit(make_recipe, train_silently):
    def weights(**changes) -> dict[str, torch.Tensor]:
        from safetensors.torch import load_file

        recipe = make_recipe(generator={"norm": "batch"}, samples={"every": 4}, **changes)
        train_silently(recipe)
        return load_file(recipe.folder / "generator.last.safetensors")

    training = {"ema_batch_norm": "reestimate"}
    whole = weights(name="whole", training=training)
    weights(name="parts", training={**training, "steps": 3})
    parts = weights(name="parts", training=training)
    plain = weights(name="plain")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    means = [name for name in whole if name.endswith("running_mean")]
    assert all(not torch.equal(whole[name], plain[name]) for name in means)
    assert means


# --- another recipe for the same run ---------------------------------------------------------------


def test_a_part_that_took_anothers_place_starts_fresh(make_recipe, train_silently):
    train_silently(make_recipe(training={"steps": 3}, penalties=["r1"], augment=["instance_noise"]))
    lecam = {"name": "lecam", "start": 0}
    changed = make_recipe(penalties=[lecam, "r2"], augment=[], schedule={"name": "two_phase"}, training={"steps": 5})
    assert train_silently(changed, allow_changed=True) == 0
    back = make_recipe(penalties=["r1"], augment=["instance_noise"], training={"steps": 7})
    assert train_silently(back, allow_changed=True) == 0


def test_an_overflow_of_a_clipped_gradient_is_no_divergence(make_recipe, build_and_train):
    run = Run.build(make_recipe())
    run.meters.add("generator", {"gradient_norm": torch.tensor(float("inf")), "loss": torch.tensor(1.0)})
    figures = only_finite(run.meters.reduce(run.accelerator))
    assert figures == {"generator/loss": 1.0}


def test_two_penalties_of_a_name_are_logged_as_their_sum(make_recipe):
    run = Run.build(make_recipe(penalties=[{"name": "r1", "gamma": 1.0}, {"name": "r1", "gamma": 3.0}]))
    _, terms = run.discriminator.loss(run.game.turns(run.discriminator, run.step, 0)[0])
    torch.testing.assert_close(terms["loss"], terms["objective"] + terms["r1"])


def test_pairs_are_of_one_class(make_recipe):
    data = {"name": "digits", "size": 16}
    networks = {player: {"name": "mlp", "width": 8} for player in ("generator", "discriminator")}
    run = Run.build(make_recipe(data=data, **networks, objective="relativistic"))
    for player in (run.discriminator, run.generator):
        (turn,) = run.game.turns(player, run.step, 0)
        assert turn.fake_labels is not None
        assert turn.real_labels is not None
        assert torch.equal(turn.fake_labels, turn.real_labels)
    with pytest.raises(RecipeError, match="reuse_fakes"):
        Run.build(make_recipe(data=data, **networks, objective="relativistic", performance={"reuse_fakes": True}))
