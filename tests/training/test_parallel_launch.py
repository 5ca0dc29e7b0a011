"""The files under launch/accelerate/ as a user starts them, and what becomes of a job whose rank dies."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
import pythons
from accelerate.state import PartialState
from same_run import assert_same_run
from torch.multiprocessing.spawn import ProcessRaisedException
from two_processes import DDP, launch_two

from ganforge.errors import LaunchError
from ganforge.parallel import start
from ganforge.penalties import Penalty
from ganforge.recipe import Recipe, dump, load
from ganforge.registry import register
from ganforge.saved.checkpoint import Checkpoint, whole_checkpoints
from ganforge.training.session import run_session

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "launch" / "accelerate").glob("*.yaml"))
LAUNCH = ("-m", "accelerate.commands.launch", "--quiet")

ON_A_CPU = {
    "cpu1": ("1 process on cpu, precision no", {}),
    "cpu2-bf16": ("2 processes on cpu, precision bf16", {"ACCELERATE_USE_CPU": "true"}),
    "zero1": ("2 processes on cpu, precision no", {}),
    "zero2": ("2 processes on cpu, precision no", {}),
    "zero3": ("2 processes on cpu, precision no", {}),
    "zero2-file": ("2 processes on cpu, precision no", {}),
}
"""What a run under each file says first, and what must stand in the environment."""

PLAIN = {"zero3": {"penalties": []}}
"""What `TABLE` must do without under a file."""

TABLE = {
    "data": {"name": "digits", "size": 16},
    "generator": {"name": "dcgan", "width": 4, "latent_dim": 8},
    "discriminator": {"name": "dcgan", "width": 4},
    "training": {"steps": 8, "batch_size": 8, "log_every": 2},
    "checkpoint": {"every": 2, "keep_last": 10},
    "penalties": [{"name": "r1", "gamma": 0.1}],
}

KILLER = '''
import os, signal
from pathlib import Path
from torch import nn
from ganforge.registry import register

@register.augment("killer")
class Killer(nn.Module):
    """Kills rank 1 once, in the middle of a step.

    Args:
        spec: unused.
        mark: a file; while it is there, nobody dies.
    """

    def __init__(self, spec, *, mark: str = "mark") -> None:
        super().__init__()
        self.mark = Path(mark)
        self.calls = 0

    def forward(self, samples):
        self.calls += 1
        if self.calls == 13 and os.environ.get("RANK") == "1" and not self.mark.exists():
            self.mark.write_text("dead")
            os.kill(os.getpid(), signal.SIGKILL)
        return samples
'''


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", **more}


def write(recipe: Recipe, folder: Path) -> Path:
    path = folder / f"{recipe.name}.toml"
    path.write_text(dump(recipe))
    return path


def test_every_way_that_a_cpu_can_run_is_started_by_a_test_and_the_rest_is_for_gpus():
    in_other_tests = {"cpu2", "cpu2x1"}  # the README's line: test_distributed; two hosts: tests/hosts
    assert {path.stem for path in FILES} == {*ON_A_CPU, *in_other_tests, "gpu1", "gpu2", "gpu2-fp16", "gpu8", "gpu4x8"}
    for path in FILES:
        assert f"launch/accelerate/{path.name}" in path.read_text(), "its first lines say how to use it"


@pytest.mark.slow
@pytest.mark.parametrize("name", ON_A_CPU)
def test_a_launch_file_starts_what_it_says(make_recipe, tmp_path, name):
    if "zero" in name:
        pytest.importorskip("deepspeed")
    first_line, variables = ON_A_CPU[name]
    port = ["--main_process_port", "0"] if name != "cpu1" else []
    done = pythons.run(
        *LAUNCH, "--config_file", f"launch/accelerate/{name}.yaml", *port, "-m", "ganforge", "train",
        write(make_recipe(**{**TABLE, **PLAIN.get(name, {})}), tmp_path),
        env=environment(**variables), cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"tiny: {first_line}" in done.stdout
    lines = (tmp_path / "runs" / "tiny" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [2, 4, 6, 8]


@pytest.fixture
def deadly(make_recipe, tmp_path, monkeypatch):
    """A recipe whose second rank is killed in its fourth step."""
    (tmp_path / "killer_plugin.py").write_text(KILLER)
    monkeypatch.syspath_prepend(tmp_path)
    mark = tmp_path / "mark"

    def make(name: str) -> Recipe:
        augment = [{"name": "killer", "mark": str(mark)}]
        return make_recipe(**TABLE, plugins=["killer_plugin"], augment=augment, name=name)

    return make


@pytest.mark.slow
def test_when_a_rank_dies_the_others_say_so_in_one_line_and_end(deadly, tmp_path):
    """Started one by one, as `srun python -m ganforge` does: nobody but the ranks themselves can notice."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    path = write(deadly("dying"), tmp_path)
    variables = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    variables |= {"ACCELERATE_USE_CPU": "true", "PYTHONPATH": str(tmp_path)}
    ranks = [
        pythons.start("-m", "ganforge", "train", path, env=environment(**variables, RANK=rank, LOCAL_RANK=rank))
        for rank in ("0", "1")
    ]
    assert ranks[1].wait(timeout=120) == -signal.SIGKILL
    died = time.monotonic()
    _, error = ranks[0].communicate(timeout=60)
    assert time.monotonic() - died < 60
    assert ranks[0].returncode == 2
    (line,) = [line for line in error.splitlines() if line.startswith("ganforge: ")]
    assert "rank 0 stops, since another rank has died" in line
    assert "Traceback" not in error


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux to pass it on")
def test_when_the_launcher_of_one_process_is_ended_its_training_saves_and_ends_too(make_recipe, tmp_path):
    """accelerate's passes no signal on, and the training would go on unseen."""
    recipe = make_recipe(training={"steps": 30_000, "log_every": 10}, checkpoint={"every": 50_000}, name="orphan")
    launcher = subprocess.Popen(  # a real one, which a training looks at to know it
        [sys.executable, *LAUNCH, "-m", "ganforge", "train", str(write(recipe, tmp_path))],
        env=environment(), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    folder = tmp_path / "runs" / "orphan"
    until(lambda: (folder / "metrics.jsonl").exists() and (folder / "metrics.jsonl").stat().st_size > 0)
    launcher.terminate()
    launcher.wait(timeout=60)
    until(lambda: (folder / "checkpoints" / "last").exists())
    assert (
        Checkpoint(folder / "checkpoints" / (folder / "checkpoints" / "last").read_text().strip()).state["step"]
        < 30_000
    )


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux to pass it on")
@pytest.mark.parametrize("launcher", ["torchrun", "accelerate"])
def test_when_the_launcher_of_two_ranks_is_killed_they_save_and_end(make_recipe, tmp_path, launcher):
    recipe = make_recipe(training={"steps": 300_000, "log_every": 10}, checkpoint={"every": 500_000}, name="orphans")
    launch = {
        "torchrun": ("-m", "torch.distributed.run", "--nproc-per-node", "2"),
        "accelerate": (*LAUNCH, "--multi_gpu", "--num_processes", "2", "--main_process_port", "0"),
    }[launcher]
    process = subprocess.Popen(
        [sys.executable, *launch, "-m", "ganforge", "train", str(write(recipe, tmp_path))],
        env=environment(ACCELERATE_USE_CPU="true"), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    log = recipe.folder / "metrics.jsonl"
    until(lambda: log.exists() and log.stat().st_size > 0)
    ranks = psutil.Process(process.pid).children()
    assert len(ranks) == 2
    process.kill()
    process.wait(timeout=60)
    until(lambda: not any(rank.is_running() for rank in ranks), seconds=60)
    (newest,) = whole_checkpoints(recipe.folder / "checkpoints")
    assert Checkpoint(newest).state["step"] < 300_000


def until(is_so, seconds=180):
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def launched(recipe: Recipe, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Two ranks, as cpu2.yaml has them, that find the plugin in `folder`."""
    config = ("--config_file", ROOT / "launch/accelerate/cpu2.yaml", "--main_process_port", "0")
    return pythons.run(
        *LAUNCH, *config, *options, "-m", "ganforge", "train", write(recipe, folder),
        env=environment(ACCELERATE_USE_CPU="true", PYTHONPATH=str(folder)), cwd=folder,
    )  # fmt: skip


def _session(path: str) -> None:
    assert run_session(load(path)) == 0


@pytest.mark.slow
def test_when_a_rank_dies_the_launcher_ends_soon_and_names_it(deadly, tmp_path):
    done = launched(deadly("dying"), tmp_path)
    assert time.time() - (tmp_path / "mark").stat().st_mtime < 60
    assert done.returncode != 0
    assert "Signal 9 (SIGKILL) received" in done.stderr
    assert (tmp_path / "runs" / "dying" / "checkpoints" / "last").exists()


@pytest.mark.slow
def test_a_launcher_with_restarts_goes_on_by_itself_after_a_rank_has_died(deadly, tmp_path):
    recipe = deadly("dying")
    done = launched(recipe, tmp_path, "--max_restarts", "2")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mark").exists()
    assert "resumed from" in done.stdout
    unbroken = deadly("unbroken")  # the mark is there: nobody dies any more
    launch_two(_session, (str(write(unbroken, tmp_path)),))
    assert_same_run(recipe.folder, unbroken.folder)


class HangsOnRankOne(Penalty):
    """Never comes back in the second step of rank 1."""

    player = "generator"
    sees_real = False

    def __call__(self, turn):
        if turn.step == 1 and PartialState().process_index == 1:
            time.sleep(600)
        return turn.fake.mean() * 0.0


def hang_soon() -> None:
    start.COLLECTIVE_TIMEOUT = timedelta(seconds=4)
    register.penalty("test-hangs")(HangsOnRankOne)


def _hang(path: str, found: str) -> None:
    try:
        run_session(load(path))
    except LaunchError as error:
        Path(found).write_text(str(error))
        raise


@pytest.mark.slow
def test_a_rank_that_hangs_ends_the_job_when_the_time_for_a_collective_is_over(make_recipe, tmp_path, monkeypatch):
    register.penalty.names()  # the built-ins stay where they are
    monkeypatch.setattr(register.penalty, "_components", dict(register.penalty._components))
    register.penalty("test-hangs")(HangsOnRankOne)
    path, found = write(make_recipe(penalties=["test-hangs"]), tmp_path), tmp_path / "found.txt"
    began = time.monotonic()
    with pytest.raises(ProcessRaisedException):
        launch_two(_hang, (str(path), str(found)), DDP, hang_soon)
    assert time.monotonic() - began < 60
    assert "another rank has died or hangs" in found.read_text()
