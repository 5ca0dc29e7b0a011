"""The alternation: who moves, who rests, what is computed, what is taken from the loader."""

from typing import Any, cast

import pytest
import torch

from ganforge.objectives.cross_entropy import NonSaturating
from ganforge.registry import register
from ganforge.training.run import Run


class SeesReal(NonSaturating):
    """A generator loss that looks at real samples and says so."""

    generator_sees_real = True

    def generator_loss(self, turn):
        return super().generator_loss(turn) + 0.0 * turn.real.mean()


class LooksWithoutSaying(SeesReal):
    generator_sees_real = False


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """On a shelf of this test's own."""
    register.objective.names()  # the built-ins stay where they are
    monkeypatch.setattr(register.objective, "_components", dict(register.objective._components))
    register.objective("test-sees-real")(SeesReal)
    register.objective("test-looks-without-saying")(LooksWithoutSaying)


def test_the_resting_player_keeps_no_gradients(make_recipe):
    run = Run.build(make_recipe(penalties=[{"name": "r1", "gamma": 0.1}]))
    for moving, resting in ((run.discriminator, run.generator), (run.generator, run.discriminator)):
        with resting.frozen():
            for turn in run.game.turns(moving, run.step, 0):
                moving.learn(turn, 0)
        assert all(parameter.grad is not None for parameter in moving.network.parameters())
        assert all(parameter.grad is None for parameter in resting.network.parameters())
        moving.update(0)
        assert all(parameter.requires_grad for parameter in resting.network.parameters())


def test_a_player_thaws_only_what_was_trainable(make_recipe):
    run = Run.build(make_recipe())
    discriminator = run.discriminator
    fixed = next(iter(discriminator.network.parameters()))
    discriminator.trainable = [parameter for parameter in discriminator.trainable if parameter is not fixed]
    fixed.requires_grad_(False)
    with discriminator.frozen():
        pass
    assert not fixed.requires_grad


def test_each_forward_of_a_turn_is_computed_once(make_recipe):
    run = Run.build(make_recipe())
    calls = []
    run.networks.discriminator.register_forward_hook(lambda *_: calls.append("D"))
    run.networks.generator.register_forward_hook(lambda *_: calls.append("G"))
    with run.generator.frozen():
        run.discriminator.loss(run.game.turns(run.discriminator, run.step, 0)[0])
    assert sorted(calls) == ["D", "D", "G"]
    calls.clear()
    with run.discriminator.frozen():
        run.generator.loss(run.game.turns(run.generator, run.step, 0)[0])
    assert sorted(calls) == ["D", "G"]


@pytest.mark.parametrize(
    ("objective", "turns", "batches"),
    [("bce", 1, 6), ("bce", 3, 18), ("test-sees-real", 1, 12)],
)
def test_only_turns_that_look_at_reals_take_batches(make_recipe, build_and_train, objective, turns, batches):
    recipe = make_recipe(objective=objective, training={"discriminator_turns": turns})
    assert build_and_train(recipe).loader.position == batches * recipe.training.batch_size


def test_a_term_that_looks_at_reals_without_saying_so_is_told(make_recipe, build_and_train):
    with pytest.raises(AssertionError, match="generator_sees_real"):
        build_and_train(make_recipe(objective="test-looks-without-saying"))


def test_micro_batches_give_the_gradients_of_the_whole_batch(make_recipe):
    gradients = []
    for pieces in (1, 4):
        recipe = make_recipe(
            training={"discriminator_micro_batches": pieces, "generator_micro_batches": pieces},
            penalties=[{"name": "r1", "gamma": 1.0}],
        )
        run = Run.build(recipe)
        with run.generator.frozen():
            for piece, turn in enumerate(run.game.turns(run.discriminator, run.step, 0)):
                run.discriminator.learn(turn, piece)
        weights = list(run.networks.discriminator.parameters())
        gradients.append([weight.grad.clone() for weight in weights if weight.grad is not None])
        assert len(gradients[-1]) == len(weights)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-5, atol=1e-7)


def test_lazy_penalties_sit_out_and_are_scaled_up(make_recipe):
    run = Run.build(make_recipe(penalties=[{"name": "r1", "gamma": 2.0, "interval": 4, "weight": 0.5}]))
    turn = run.game.turns(run.discriminator, run.step, 0)[0]
    _, terms = run.discriminator.loss(turn)
    (lazy,) = run.discriminator.penalties
    torch.testing.assert_close(terms["r1"], (0.5 * 4 * lazy.penalty(turn)).detach())
    run.progress.step, run.progress.images = 1, 32
    _, terms = run.discriminator.loss(run.game.turns(run.discriminator, run.step, 0)[0])
    assert "r1" not in terms


def test_a_batch_that_does_not_divide_is_refused_with_sizes_that_do():
    from ganforge.building.checks import check_batch
    from ganforge.errors import RecipeError

    class Fake:
        name = "tiny"

        class discriminator:
            packing = 1

        class training:
            batch_size = 30
            discriminator_micro_batches = 1
            generator_micro_batches = 2

    with pytest.raises(RecipeError, match="30 does not divide by 4 ranks; use 28 or 32"):
        check_batch(cast(Any, Fake), 4)


@pytest.mark.parametrize(
    ("batch_size", "packing", "pieces", "ranks", "group", "remedy"),
    [
        (26, 1, 1, 2, 4, "groups of 4 do not divide the 13 samples that D sees at once .* use 13, or .* multiple of 8"),
        (24, 1, 1, 4, 4, "groups of 4 do not divide the 6 samples .* use 2, 3 or 6, or .* a multiple of 16"),
        (36, 2, 3, 1, 4, "groups of 4 do not divide the 18 samples .* use 2, 3 or 6, or .* a multiple of 24"),
        (
            8,
            1,
            1,
            8,
            4,
            "groups of 4 do not divide the 1 sample .* one rank; make training.batch_size a multiple of 32",
        ),
        (32, 1, 2, 2, 4, None),
        (32, 1, 1, 1, 64, None),
        (39, 1, 1, 3, 13, None),
        (39, 1, 1, 3, 0, None),
    ],
)
def test_groups_of_minibatch_std_that_do_not_divide_a_micro_batch_are_refused_with_sizes_that_do(
    make_recipe, batch_size, packing, pieces, ranks, group, remedy
):
    """Where no group divided, it did nothing and said nothing."""
    from ganforge.building.checks import check_batch
    from ganforge.errors import RecipeError

    recipe = make_recipe(
        training={"batch_size": batch_size, "generator_micro_batches": pieces},
        discriminator={"minibatch_std": group, "packing": packing},
    )
    if remedy is None:
        check_batch(recipe, ranks)
        return
    with pytest.raises(RecipeError, match=remedy) as refused:
        check_batch(recipe, ranks)
    assert "discriminator.minibatch_std" in str(refused.value)


@pytest.mark.parametrize(
    ("decay", "factors"),
    [("none", [0.5, 1.0, 1.0, 1.0]), ("linear", [0.5, 1.0, 1.0, 0.5]), ("cosine", [0.5, 1.0, 1.0, 0.5])],
)
def test_learning_rates_follow_their_schedule(make_recipe, decay, factors):
    from ganforge.game.learning_rate import learning_rate_factor

    schedule = learning_rate_factor(2, decay, 4)
    assert [schedule(step) for step in range(4)] == pytest.approx(factors)


def test_the_schedule_reaches_the_optimizer(make_recipe):
    recipe = make_recipe(
        optimizer={"generator": {"name": "adam", "lr": 0.1, "decay": "linear"}}, training={"steps": 10}
    )
    run = Run.build(recipe)
    run.generator.update(5)
    assert run.generator.engine.param_groups[0]["lr"] == pytest.approx(0.05)
