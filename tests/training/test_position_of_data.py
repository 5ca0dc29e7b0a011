"""A resumed run goes on at the next sample, whatever its batch size and whoever wrote the checkpoint."""

import pytest

from ganforge.saved.checkpoint import Checkpoint, whole_checkpoints
from ganforge.training.run import Run
from ganforge.training.saving.restore import restore


@pytest.mark.parametrize("batch_size", [32, 16, 48])
@pytest.mark.parametrize("is_old", [False, True])
def test_a_resumed_run_goes_on_at_the_next_sample(make_recipe, train_silently, batch_size: int, is_old: bool) -> None:
    train_silently(make_recipe())
    recipe = make_recipe(training={"batch_size": batch_size})
    checkpoint = Checkpoint(whole_checkpoints(recipe.folder / "checkpoints")[-1])
    assert checkpoint.state.pop("data") == {"samples": 6 * 32}
    checkpoint.state.update({"batches": 6} if is_old else {"data": {"samples": 6 * 32}})
    run = Run.build(recipe)
    restore(run, checkpoint)
    assert run.loader.position == 6 * 32
    alone = Run.build(recipe).loader
    alone.seek(6 * 32)
    assert run.loader.next().ids.tolist() == alone.next().ids.tolist()
