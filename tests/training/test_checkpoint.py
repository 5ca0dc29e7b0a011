import json
import os
import pickle
import random

import numpy as np
import pytest
import torch
from resealed import reseal

from ganforge.errors import CheckpointError, RecipeError
from ganforge.game.randomness import random_states, restore_random_states
from ganforge.saved.checkpoint import Checkpoint, whole_checkpoints
from ganforge.saved.checkpoint_writer import CheckpointWriter, prune


def write(folder, step, value=0.0):
    writer = CheckpointWriter(folder, step)
    writer.stage()
    writer.write_rank(0, {"random": random_states()})
    writer.write_tensors("generator", {"weight": torch.full((3,), value)})
    writer.write_plain("training", {"optimizer": {"lr": 0.1}})
    return writer.commit({"step": step})


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    checkpoint = Checkpoint(write(tmp_path, 7, 2.0))
    assert checkpoint.state["step"] == 7
    assert torch.equal(checkpoint.tensors("generator")["weight"], torch.full((3,), 2.0))
    assert checkpoint.plain("training") == {"optimizer": {"lr": 0.1}}
    assert checkpoint.rank(1) is None
    assert (tmp_path / "last").read_text() == "step-00000007\n"


def test_a_half_written_checkpoint_does_not_count_and_is_swept_up(tmp_path):
    good = write(tmp_path, 1)
    writer = CheckpointWriter(tmp_path, 2)
    writer.stage()
    writer.write_tensors("generator", {"weight": torch.zeros(3)})
    assert whole_checkpoints(tmp_path) == [good]
    prune(tmp_path, keep_last=1, keep_every=0)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["step-00000001"]


@pytest.mark.parametrize("damage", ["truncate", "remove", "no state"])
def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(tmp_path, damage):
    good, newest = write(tmp_path, 1), write(tmp_path, 2)
    file = newest / "generator.safetensors"
    if damage == "truncate":
        os.truncate(file, file.stat().st_size - 1)
    elif damage == "remove":
        file.unlink()
    else:
        (newest / "checkpoint.json").write_text("{")
    (tmp_path / "last").unlink()
    assert whole_checkpoints(tmp_path) == [good]


def test_writing_a_step_again_replaces_it_whole(tmp_path):
    write(tmp_path, 5, 1.0)
    path = write(tmp_path, 5, 3.0)
    assert Checkpoint(path).tensors("generator")["weight"][0] == 3.0
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["last", "step-00000005"]


def test_prune_keeps_the_newest_and_the_multiples(tmp_path):
    for step in (10, 20, 25, 30, 35):
        write(tmp_path, step)
    prune(tmp_path, keep_last=2, keep_every=20)
    assert [json.loads((path / "checkpoint.json").read_text())["step"] for path in whole_checkpoints(tmp_path)] == [
        20,
        30,
        35,
    ]


class Hostile:
    def __reduce__(self):
        return (os.mkdir, ("hostile-code-ran",))


def test_opening_a_hostile_checkpoint_runs_no_code(tmp_path, monkeypatch):
    """Its author has signed it."""
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "checkpoints", 1)
    for name in ("training", "rank-00000"):
        torch.save({"optimizer": Hostile()}, path / f"{name}.pt")
        reseal(path)
        with pytest.raises(CheckpointError, match=f"{name}.pt cannot be read as plain"):
            Checkpoint(path).plain(name)
        (path / f"{name}.pt").write_bytes(pickle.dumps(Hostile()))
        reseal(path)
        with pytest.raises(CheckpointError, match=f"{name}.pt cannot be read as plain"):
            Checkpoint(path).plain(name)
    (path / "generator.safetensors").write_bytes(pickle.dumps(Hostile()))
    reseal(path)
    with pytest.raises(CheckpointError, match=r"generator\.safetensors cannot be read"):
        Checkpoint(path).tensors("generator")
    assert not (tmp_path / "hostile-code-ran").exists()


def test_random_states_go_on_where_they_were(tmp_path):
    path = write(tmp_path, 1)
    draws = lambda: (random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), torch.rand(()).item())  # noqa: E731
    random.gauss(0, 1)  # leaves a second value behind
    np.random.randn()
    states = random_states()
    expected = draws()
    draws()
    torch.save(states, tmp_path / "states.pt")
    restore_random_states(torch.load(tmp_path / "states.pt", weights_only=True))
    assert draws() == expected
    assert Checkpoint(path).rank(0) is not None


def test_a_changed_recipe_is_shown_and_refused_unless_allowed(make_recipe, train_silently):
    train_silently(make_recipe())
    with pytest.raises(RecipeError) as error:
        train_silently(make_recipe(generator={"width": 24}))
    assert "tiny: generator.width: was 16, is now 24" in str(error.value)
    assert "allow_changed=True" in str(error.value)
    with pytest.raises(RecipeError, match=r"training\.batch_size: was 32, is now 16"):
        train_silently(make_recipe(training={"batch_size": 16}))
    assert (
        train_silently(
            make_recipe(training={"steps": 8}, optimizer={"generator": {"name": "adam", "lr": 0.1}}), allow_changed=True
        )
        == 0
    )


def test_steps_logging_and_samples_may_change(make_recipe, train_silently, capsys):
    train_silently(make_recipe())
    assert train_silently(make_recipe(training={"steps": 8, "log_every": 2}, samples={"every": 4})) == 0
    assert "changed: training.steps: 6 -> 8" in capsys.readouterr().out


def test_resume_must_and_never(make_recipe, train_silently):
    recipe = make_recipe()
    with pytest.raises(CheckpointError, match="no whole checkpoint to resume from"):
        train_silently(recipe, resume="must")
    train_silently(recipe, resume="never")
    train_silently(recipe, resume="must")
    with pytest.raises(CheckpointError, match="holds a run with 1 checkpoint;"):
        train_silently(recipe, resume="never")


def test_a_finished_run_stays_as_it_is_when_started_again(make_recipe, train_silently):
    recipe = make_recipe()
    train_silently(recipe)
    before = (recipe.folder / "metrics.jsonl").read_text()
    assert train_silently(recipe) == 0
    assert (recipe.folder / "metrics.jsonl").read_text() == before
