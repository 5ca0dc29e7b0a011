"""A folder in which a run was begun is never started again unasked, and two trainings never share one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from same_run import assert_same_run
from two_processes import launch_two

from ganforge.errors import CheckpointError, GanforgeError
from ganforge.recipe import Recipe, dump, load
from ganforge.run_folder import folder_lock
from ganforge.run_folder.begun import move_aside, was_restarted_by_this_job
from ganforge.run_folder.folder_lock import FolderLock
from ganforge.saved.checkpoint import whole_checkpoints
from ganforge.training.session import run_session


def everything(folder: Path) -> dict[str, bytes]:
    mine = {".lock", ".holder", ".session", ".restarted"}
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in mine
    }


def damage_all(folder: Path) -> None:
    for path in whole_checkpoints(folder / "checkpoints"):
        (path / "generator.safetensors").write_bytes(b"")


def delete_all(folder: Path) -> None:
    shutil.rmtree(folder / "checkpoints")


def delete_all_but_the_log(folder: Path) -> None:
    delete_all(folder)
    for path in folder.glob("generator.*"):
        path.unlink()


@pytest.mark.parametrize("resume", ["auto", "never"])
@pytest.mark.parametrize("lose", [damage_all, delete_all, delete_all_but_the_log])
def test_a_run_without_a_checkpoint_to_go_on_from_is_refused_and_nothing_is_touched(
    make_recipe, train_silently, lose, resume
):
    recipe = make_recipe()
    train_silently(recipe)
    lose(recipe.folder)
    before = everything(recipe.folder)
    with pytest.raises(
        CheckpointError, match=r"holds a run with metrics\.jsonl up to step 6.*say `restart=True`"
    ) as error:
        train_silently(recipe, resume=resume)
    assert len(str(error.value).splitlines()) == 1
    assert everything(recipe.folder) == before


def test_the_refusal_names_what_is_wrong_with_the_newest(make_recipe, train_silently):
    recipe = make_recipe()
    train_silently(recipe)
    damage_all(recipe.folder)
    with pytest.raises(CheckpointError, match=r"\(step-00000006: not written to the end: generator\.safetensors\)"):
        train_silently(recipe)


def test_a_restart_moves_everything_aside_and_starts_again(make_recipe, train_silently, capsys):
    recipe = make_recipe()
    train_silently(recipe)
    (recipe.folder / "slurm").mkdir()
    (recipe.folder / "slurm" / "7.log").write_text("of the job that runs now")
    before = everything(recipe.folder)
    for number in (1, 2):
        assert run_session(recipe, restart=True) == 0
        kept = everything(recipe.folder / f".old-{number}")
        assert kept.keys() == before.keys() - {"slurm/7.log"}
        assert f"are now in {recipe.folder / f'.old-{number}'}" in capsys.readouterr().out.replace("\n", "")
    assert everything(recipe.folder / ".old-1") == {name: before[name] for name in kept}
    assert (recipe.folder / "slurm" / "7.log").exists()
    steps = [json.loads(line)["step"] for line in (recipe.folder / "metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 7))


def test_a_run_that_was_killed_before_its_first_checkpoint_starts_again_by_itself(make_recipe, train_silently):
    """There is nothing to lose, and a queue that starts it again has nobody to ask."""
    table = {"training": {"steps": 9}, "checkpoint": {"every": 5}}
    recipe, other = make_recipe(**table), make_recipe(**table, name="unbroken")
    for each in (recipe, other):
        train_silently(each)
    delete_all_but_the_log(recipe.folder)
    lines = (recipe.folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    (recipe.folder / "metrics.jsonl").write_text("".join(lines[:4]))
    with pytest.raises(CheckpointError, match="holds a run"):  # under another recipe it is another run
        train_silently(make_recipe(**table, seed=1))
    assert train_silently(recipe) == 0
    assert_same_run(recipe.folder, other.folder)


def test_a_job_that_its_queue_starts_again_does_not_restart_again(make_recipe, train_silently, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "123")
    recipe = make_recipe()
    train_silently(recipe)
    assert run_session(recipe, restart=True) == 0
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert run_session(make_recipe(training={"steps": 8}), restart=True) == 0
    assert [path.name for path in recipe.folder.glob(".old-*")] == [".old-1"]
    assert len((recipe.folder / "metrics.jsonl").read_text().splitlines()) == 8
    monkeypatch.delenv("SLURM_RESTART_COUNT")
    assert run_session(recipe, restart=True) == 0  # somebody asks for it again
    assert len([*recipe.folder.glob(".old-*")]) == 2


def test_a_launcher_that_starts_its_ranks_again_does_not_restart_again(tmp_path, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert move_aside(tmp_path) is None
    assert not was_restarted_by_this_job(tmp_path)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert was_restarted_by_this_job(tmp_path)
    monkeypatch.setattr(os, "getppid", lambda: 1)  # by another launcher
    assert not was_restarted_by_this_job(tmp_path)


def restarted(path: str) -> None:
    assert run_session(load(path), restart=True) == 0


def test_two_ranks_restart_together(make_recipe, train_silently, tmp_path):
    recipe, path = make_recipe(), tmp_path / "recipe.toml"
    train_silently(recipe)
    path.write_text(dump(recipe))
    launch_two(restarted, (str(path),))
    assert (recipe.folder / ".old-1" / "metrics.jsonl").exists()
    (newest,) = whole_checkpoints(recipe.folder / "checkpoints")
    assert (newest / "rank-00001.pt").exists()


HOLDER = """
import sys, time
from pathlib import Path
from ganforge.run_folder.folder_lock import FolderLock
lock = FolderLock(Path(sys.argv[1]), print)
lock.hold()
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of the folder `held`."""
    (tmp_path / "held").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "held")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_training_in_a_folder_is_refused_with_host_and_process(holder, tmp_path, monkeypatch):
    monkeypatch.setattr(folder_lock, "PATIENCE", 0.2)
    host = os.uname().nodename
    with pytest.raises(GanforgeError, match=rf"another training runs in this folder: process {holder.pid} on {host}"):
        FolderLock(tmp_path / "held", print).hold()


def test_a_killed_holder_lets_go_at_once(holder, tmp_path):
    os.kill(holder.pid, signal.SIGKILL)
    began = time.monotonic()
    lock = FolderLock(tmp_path / "held", print)
    lock.hold()
    lock.release()
    assert time.monotonic() - began < 5


def test_a_lock_of_another_host_is_waited_for_longer_and_that_is_said(holder, tmp_path, monkeypatch):
    monkeypatch.setattr(folder_lock, "PATIENCE", 0.2)
    monkeypatch.setattr(folder_lock, "PATIENCE_WITH_OTHER_HOSTS", 0.3)
    (tmp_path / "held" / ".holder").write_text('{"host": "node7", "pid": 12}')
    said: list[str] = []
    with pytest.raises(GanforgeError, match="process 12 on node7"):
        FolderLock(tmp_path / "held", said.append).hold()
    assert "is locked by another host, node7; waiting" in said[0]


def test_sessions_hold_the_lock_while_they_train_and_let_go_of_it(make_recipe, train_silently, monkeypatch):
    monkeypatch.setattr(folder_lock, "PATIENCE", 0.1)
    recipe = make_recipe()
    refused: list[Recipe] = []
    from ganforge.training import session

    train = session.train

    def meanwhile(*arguments):
        with pytest.raises(GanforgeError, match="another training runs in this folder"):
            FolderLock(recipe.folder, print).hold()
        refused.append(recipe)
        return train(*arguments)

    monkeypatch.setattr(session, "train", meanwhile)
    assert train_silently(recipe) == 0
    assert train_silently(recipe) == 0
    assert len(refused) == 2
