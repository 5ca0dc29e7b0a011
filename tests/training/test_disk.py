"""A disk that is full, and a run folder that goes away, while a run trains."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from ganforge.errors import CheckpointError, GanforgeError
from ganforge.export.write import NAMES, export
from ganforge.saved.checkpoint import whole_checkpoints
from ganforge.telemetry.lines import LineFile
from ganforge.training import loop


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1.5 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", str(folder)], check=False)
    if done.returncode:
        pytest.skip("mounting a tmpfs needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path) -> None:
    with (folder / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 512)
        except OSError:
            pass


@pytest.fixture
def in_step(monkeypatch):
    """Do something once, in the middle of a training, when a step begins."""
    todo = {}
    begin = loop.begin_step

    def watch(run):
        if run.step in todo:
            todo.pop(run.step)()
        begin(run)

    monkeypatch.setattr(loop, "begin_step", watch)
    return todo


TABLE = {
    "training": {"steps": 12},
    "checkpoint": {"every": 4, "keep_last": 9},
    "samples": {"every": 3, "num": 16},
    "evaluation": {"metrics": ["modes"], "num_fakes": 50, "every": 3},
    "tracking": {"tensorboard": {}},
}


def test_on_a_full_disk_training_goes_on_and_ends_in_one_line_and_with_room_again_it_resumes(
    make_recipe, train_silently, small_disk, in_step, capsys
):
    recipe = make_recipe(**TABLE, output=str(small_disk))

    def fill_once_it_is_saved() -> None:
        deadline = time.monotonic() + 30
        while not (recipe.folder / "generator.last.json").exists():  # the last that is written with a checkpoint
            assert time.monotonic() < deadline
            time.sleep(0.01)
        fill(small_disk)

    in_step[5] = fill_once_it_is_saved
    with pytest.raises(CheckpointError) as error:
        train_silently(recipe)
    said = str(error.value)
    assert (
        "the checkpoint of step 12 could not be written: No space left on device; the checkpoint of step 4 is" in said
    )
    assert "the same command resumes" in said
    assert len(said.splitlines()) == 1
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err
    for what in ("metrics.jsonl", "samples"):
        assert captured.out.count(f"warning: {what} cannot be written: No space left on device") == 1
    assert "warning: the checkpoint of step 8 could not be written: No space left" in captured.out
    assert not [*(recipe.folder / "checkpoints").glob(".step-*")]
    with pytest.raises(GanforgeError, match="cannot be written: No space left on device"):
        train_silently(recipe)
    (small_disk / "filler").unlink()
    assert train_silently(recipe) == 0
    assert whole_checkpoints(recipe.folder / "checkpoints")[-1].name == "step-00000012"
    assert len((recipe.folder / "metrics.jsonl").read_text().splitlines()) == 12 + 4


def test_a_disk_that_has_room_again_in_time_costs_no_line_of_the_log(make_recipe, train_silently, small_disk, in_step):
    recipe = make_recipe(**TABLE, output=str(small_disk))
    in_step[5] = lambda: fill(small_disk)
    in_step[10] = (small_disk / "filler").unlink
    assert train_silently(recipe) == 0
    assert len((recipe.folder / "metrics.jsonl").read_text().splitlines()) == 12 + 4


def remove_for_good(folder: Path) -> None:
    """Until it is gone: the thread that writes a checkpoint may still put a file there."""
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)


def test_a_run_folder_that_is_deleted_under_a_training_is_not_made_again(make_recipe, train_silently, in_step, capsys):
    recipe = make_recipe(**{**TABLE, "tracking": {}})
    in_step[5] = lambda: remove_for_good(recipe.folder)
    with pytest.raises(CheckpointError, match=r"the run folder .* is gone, or another is in its place"):
        train_silently(recipe)
    assert not recipe.folder.exists()
    assert "Traceback" not in capsys.readouterr().err


def test_a_run_folder_that_was_replaced_under_a_training_is_left_alone(make_recipe, train_silently, in_step):
    recipe = make_recipe(checkpoint={"every": 4})

    def replace() -> None:
        remove_for_good(recipe.folder)
        recipe.folder.mkdir()

    in_step[2] = replace
    with pytest.raises(CheckpointError, match="another is in its place"):
        train_silently(recipe)
    assert [*recipe.folder.iterdir()] == []


def test_lines_that_find_no_room_are_written_whole_once_there_is_some(small_disk):
    warned: list[str] = []
    file = LineFile(small_disk / "lines", warned.append)
    file.write("first")
    fill(small_disk)
    for number in range(2000):
        file.write(f"line {number} " + "x" * 50)
    assert set(warned) == {"No space left on device"}
    assert (small_disk / "lines").read_bytes().endswith(b"\n")
    (small_disk / "filler").unlink()
    file.write("last")
    file.close()
    lines = (small_disk / "lines").read_text().splitlines()
    assert [line.split(" x")[0] for line in lines] == ["first", *(f"line {number}" for number in range(2000)), "last"]


@pytest.mark.parametrize("to", NAMES)
def test_an_export_to_a_full_disk_is_told_in_a_line_and_leaves_nothing(make_recipe, train_silently, small_disk, to):
    if to == "onnx":
        pytest.importorskip("onnxscript")
    recipe = make_recipe(training={"steps": 1})
    train_silently(recipe)
    fill(small_disk)
    with pytest.raises(GanforgeError, match="cannot be written: No space left on device"):
        export(recipe.folder, to, out=small_disk / NAMES[to])
    assert os.listdir(small_disk) == ["filler"]
