"""Checkpoints that cannot be written, and writing while training goes on."""

import os
import subprocess
import threading
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from ganforge.errors import CheckpointError, GanforgeError
from ganforge.saved.checkpoint import Checkpoint, whole_checkpoints
from ganforge.saved.checkpoint_writer import CheckpointWriter
from ganforge.telemetry.progress import ProgressDisplay
from ganforge.telemetry.tracking import Tracking
from ganforge.training.between_steps.samples import show_samples
from ganforge.training.run import Run
from ganforge.training.saving import saver as saving


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 400 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("mounting a tmpfs needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path, leave: int) -> None:
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    (folder / "filler").write_bytes(b"x" * (free - leave))


def test_on_a_full_disk_the_last_whole_checkpoint_stays_and_it_is_said(make_recipe, train_silently, small_disk):
    recipe = make_recipe(output=str(small_disk))
    train_silently(recipe)
    kept = whole_checkpoints(recipe.folder / "checkpoints")
    fill(small_disk, leave=30_000)
    longer = make_recipe(output=str(small_disk), training={"steps": 12})
    with pytest.raises(CheckpointError, match=r"step 12 could not be written: .*; the checkpoint of step 6 is intact"):
        train_silently(longer)
    assert whole_checkpoints(recipe.folder / "checkpoints") == kept
    (small_disk / "filler").unlink()
    assert train_silently(longer) == 0
    assert Checkpoint(whole_checkpoints(recipe.folder / "checkpoints")[-1]).state["step"] == 12


def test_a_failure_in_the_middle_is_a_warning_and_training_goes_on(make_recipe, train_silently, monkeypatch, capsys):
    commit = CheckpointWriter.commit

    def fails_once(self, state):
        if state["step"] == 2:
            raise OSError(28, "No space left on device")
        return commit(self, state)

    monkeypatch.setattr(CheckpointWriter, "commit", fails_once)
    recipe = make_recipe(checkpoint={"every": 2, "keep_last": 9})
    assert train_silently(recipe) == 0
    out = capsys.readouterr().out
    assert "warning: the checkpoint of step" in out
    assert "No space left on device" in out
    steps = [Checkpoint(path).state["step"] for path in whole_checkpoints(recipe.folder / "checkpoints")]
    assert steps == [4, 6]


def test_training_goes_on_while_a_checkpoint_is_written_and_it_holds_the_weights_of_its_step(
    make_recipe, train_silently, monkeypatch
):
    """The first checkpoint's writing is held back until training has passed two more steps."""
    passed = threading.Event()
    write = saving.Saver._write

    def slow(self, writer, *parts):
        if writer.final.name == "step-00000002":
            assert passed.wait(timeout=30), "training waited for the checkpoint"
        write(self, writer, *parts)

    monkeypatch.setattr(saving.Saver, "_write", slow)
    table = {"checkpoint": {"every": 2, "keep_last": 9}, "training": {"steps": 3}}
    from ganforge.training import loop

    log = loop.log_figures

    def note(run, *rest):
        line = log(run, *rest)
        if run.step == 3:
            passed.set()
        return line

    monkeypatch.setattr(loop, "log_figures", note)
    train_silently(make_recipe(**table, name="background"))
    monkeypatch.setattr(saving.Saver, "_write", write)
    train_silently(make_recipe(**table, name="plain"))
    background, plain = (
        Checkpoint(whole_checkpoints(make_recipe(name=name).folder / "checkpoints")[0])
        for name in ("background", "plain")
    )
    for name in ("generator", "discriminator", "averaged"):
        mine, theirs = background.tensors(name), plain.tensors(name)
        assert all((mine[key] == theirs[key]).all() for key in mine)
    assert str(background.plain("training")) == str(plain.plain("training"))


def test_a_run_folder_that_became_read_only_says_so(make_recipe, train_silently, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("ganforge.training.session.write_text", refuse)
    with pytest.raises(GanforgeError, match="cannot be written: Permission denied"):
        train_silently(make_recipe())


def test_half_written_newer_checkpoints_are_passed_over_and_named(make_recipe, train_silently, capsys):
    recipe = make_recipe(checkpoint={"every": 2, "keep_last": 9})
    train_silently(recipe)
    checkpoints = recipe.folder / "checkpoints"
    (checkpoints / "last").unlink()
    (checkpoints / "step-00000006" / "generator.safetensors").write_bytes(b"")
    capsys.readouterr()
    assert train_silently(recipe) == 0
    out = capsys.readouterr().out
    assert "step-00000004 at step 4" in out
    assert "passed over step-00000006: not written to the end" in out
    assert Checkpoint(checkpoints / "step-00000006").state["step"] == 6


def test_a_new_run_can_start_from_anothers_weights(make_recipe, train_silently, capsys):
    from ganforge.training.session import run_session

    first = make_recipe(name="first")
    train_silently(first)
    second = make_recipe(name="second", training={"steps": 1}, optimizer={
        role: {"name": "sgd", "lr": 1e-30} for role in ("generator", "discriminator")})  # fmt: skip
    assert run_session(second, init_from=first.folder) == 0
    assert f"weights from {first.folder}" in capsys.readouterr().out
    old, new = (Checkpoint(whole_checkpoints(r.folder / "checkpoints")[-1]) for r in (first, second))
    assert all((tensor == new.tensors("generator")[key]).all() for key, tensor in old.tensors("generator").items())
    assert new.state["step"] == 1
    with pytest.raises(CheckpointError, match="the discriminator does not fit the recipe's"):
        run_session(make_recipe(name="third", discriminator={"width": 32}), init_from=first.folder)


def test_a_grid_is_written_while_training_goes_on(make_recipe, monkeypatch):
    """Training waits for the samples; making a PNG of them is for the thread."""
    recipe = make_recipe()
    recipe.folder.mkdir(parents=True)
    run = Run.build(recipe)
    display = ProgressDisplay(Console(quiet=True), start=0, total=1)
    saver, tracking = saving.Saver(run, print), Tracking(recipe, 0)
    go_on, save = threading.Event(), Image.Image.save

    def slow(self, *args, **options):
        assert go_on.wait(60)
        save(self, *args, **options)

    monkeypatch.setattr(Image.Image, "save", slow)
    show_samples(run, tracking, display, saver)
    assert not recipe.files.sample_grid(0).exists()
    go_on.set()
    saver.close()
    assert recipe.files.sample_grid(0).is_file()
    tracking.close()


def test_what_breaks_in_the_thread_is_not_lost(make_recipe):
    recipe = make_recipe()
    recipe.folder.mkdir(parents=True)
    saver = saving.Saver(Run.build(recipe), print)
    saver.write_later(lambda: [][0])
    with pytest.raises(IndexError):
        saver.close()
