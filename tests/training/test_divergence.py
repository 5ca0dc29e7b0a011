"""Losses that leave the finite numbers: stop with the last good checkpoint, or go back to it."""

import json

import pytest
import torch

from ganforge.errors import DivergenceError
from ganforge.penalties import Penalty
from ganforge.registry import register
from ganforge.saved.checkpoint import Checkpoint, whole_checkpoints
from ganforge.training.run import Run


class Breaks(Penalty):
    """NaN in one step, until the learning rate has been lowered."""

    player = "generator"
    sees_real = False
    run: Run | None = None

    def __init__(self, *, step: int, times: int) -> None:
        self.step, self.times = step, times

    def __call__(self, turn):
        assert Breaks.run is not None
        breaks = turn.step == self.step and Breaks.run.progress.rollbacks < self.times
        return turn.fake.mean() * (float("nan") if breaks else 0.0)

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        assert state == {}


def break_in_this_process() -> None:
    """What the fixture below does, for a process that ends with the test."""
    watch(pytest.MonkeyPatch())


@pytest.fixture(autouse=True)
def watch_run(monkeypatch):
    watch(monkeypatch)


def watch(monkeypatch: pytest.MonkeyPatch) -> None:
    register.penalty.names()  # the built-ins stay where they are
    monkeypatch.setattr(register.penalty, "_components", dict(register.penalty._components))
    register.penalty("test-breaks-once-a-run")(Breaks)
    build = Run.build

    def remember(recipe):
        Breaks.run = build(recipe)
        return Breaks.run

    monkeypatch.setattr(Run, "build", remember)


def recipe_that_breaks(make_recipe, times: int, **training):
    return make_recipe(
        penalties=[{"name": "test-breaks-once-a-run", "step": 5, "times": times}],
        training={"steps": 8, "on_divergence": "rollback", "rollback_factor": 0.5, **training},
        checkpoint={"every": 2},
    )


def test_stopping_names_step_player_and_term_and_keeps_the_good_checkpoint(make_recipe, train_silently):
    recipe = recipe_that_breaks(make_recipe, 1, on_divergence="stop")
    with pytest.raises(
        DivergenceError, match=r"step 6: the generator's loss is nan; the checkpoint of step [24] is intact"
    ):
        train_silently(recipe)  # step 4's may still be on its way to the disk
    newest = Checkpoint(whole_checkpoints(recipe.folder / "checkpoints")[-1])
    assert newest.state["step"] == 4
    assert all(tensor.isfinite().all() for tensor in newest.tensors("generator").values())


def test_where_nothing_was_saved_yet_nothing_is_called_intact(make_recipe, train_silently):
    recipe = recipe_that_breaks(make_recipe, 1, on_divergence="stop").model_copy(
        update={"checkpoint": make_recipe(checkpoint={"every": 100}).checkpoint}
    )
    with pytest.raises(DivergenceError, match="nothing has been saved yet"):
        train_silently(recipe)


def test_a_rollback_goes_on_from_the_checkpoint_with_a_smaller_learning_rate(make_recipe, train_silently, capsys):
    recipe = recipe_that_breaks(make_recipe, 1)
    assert train_silently(recipe) == 0
    assert "rolled back to step 4 (1 of 3); learning rates are now 0.5 of the recipe's" in capsys.readouterr().out
    assert Breaks.run is not None
    assert Breaks.run.generator.engine.param_groups[0]["lr"] == pytest.approx(1e-4)
    steps = [json.loads(line)["step"] for line in (recipe.folder / "metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 9))
    assert Checkpoint(whole_checkpoints(recipe.folder / "checkpoints")[-1]).state["rollbacks"] == 1


def test_rollbacks_end_at_their_limit(make_recipe, train_silently):
    recipe = recipe_that_breaks(make_recipe, 99, rollback_limit=2)
    with pytest.raises(DivergenceError, match=r"after 2 rollbacks"):
        train_silently(recipe)


def test_without_a_checkpoint_there_is_nothing_to_roll_back_to(make_recipe, train_silently):
    recipe = make_recipe(optimizer={"generator": {"name": "sgd", "lr": 1e30}}, training={"on_divergence": "rollback"})
    with pytest.raises(DivergenceError, match="no checkpoint to go back to"):
        train_silently(recipe)


def test_weights_that_a_finite_loss_spoiled_never_reach_a_checkpoint(make_recipe, train_silently):
    recipe = make_recipe(
        optimizer={"generator": {"name": "sgd", "lr": 1e38}}, training={"log_every": 100}, checkpoint={"every": 1}
    )
    with pytest.raises(DivergenceError):
        train_silently(recipe)
    for path in whole_checkpoints(recipe.folder / "checkpoints"):
        assert all(torch.isfinite(tensor).all() for tensor in Checkpoint(path).tensors("generator").values())
