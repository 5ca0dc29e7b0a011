"""The real digits recipe on a real SLURM of two nodes: preempted, timed out, killed, cancelled, and none the worse."""

import json
import os
import signal
from pathlib import Path

import pytest
from cluster.throwaway_slurm import ONE_NODE, Slurm, is_installed, throwaway_slurm
from same_run import assert_same_run

STEPS = 160

pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    if not is_installed():
        if os.environ.get("CI"):
            pytest.fail("slurm not installed, and .ci/run should have done it")
        pytest.skip("slurm not installed")
    with throwaway_slurm(tmp_path_factory.mktemp("cluster")) as slurm:
        yield slurm


@pytest.fixture(scope="module", autouse=True)
def timed(slurm: Slurm) -> str:
    """A job with the shortest limit SLURM knows; it waits for that beside the other tests. Saves 30 s before."""
    return slurm.submit("timed", "--time", "1", "--grace", "30", steps=100_000, nodes=ONE_NODE)


@pytest.fixture(scope="module")
def unbroken(slurm: Slurm, timed: str) -> Path:
    """Two nodes, one task each, from the first step to the last."""
    job = slurm.submit("unbroken", steps=STEPS)
    slurm.wait(job, "COMPLETED")
    return slurm.run_folder("unbroken")


def test_a_partition_that_does_not_exist_is_told_with_those_that_do(slurm: Slurm) -> None:
    done = slurm.ganforge("slurm", "recipes/none.toml", check=False)
    assert done.returncode == 2
    assert "there is no such file" in done.stderr
    with pytest.raises(AssertionError, match=r"invalid partition specified.*partitions: main"):
        slurm.submit("nowhere", "--partition", "gpu-huge", steps=10)


def test_preempted_and_requeued_it_ends_as_if_it_had_not_been(slurm: Slurm, unbroken: Path) -> None:
    job = slurm.submit("preempted", "--set", "tracking.wandb.mode=offline", steps=STEPS)
    slurm.wait_for_step("preempted", 10)
    nodes = {rank: _node(process) for rank, process in slurm.ranks("preempted").items()}
    assert nodes == {0: "n1", 1: "n2"}
    running = json.loads(slurm.ganforge("status", "runs/preempted", "--json").stdout)[0]
    assert (running["job"], running["job_state"], running["steps"]) == (job, "RUNNING", STEPS)

    slurm.call("scancel", "--signal=USR1", job)
    slurm.start_now(job)
    slurm.wait(job, "COMPLETED")
    log = slurm.log("preempted", job)
    assert "saved; back into the queue" in log
    assert "resumed from runs/preempted/checkpoints/step-" in log
    assert_same_run(unbroken, slurm.run_folder("preempted"))
    sessions = [path.name for path in (slurm.run_folder("preempted") / "wandb").glob("offline-run-*")]
    assert len(sessions) == 2
    assert len({name.rpartition("-")[2] for name in sessions}) == 1, "W&B must see one run"


def test_a_time_limit_saves_and_requeues_and_a_cancelled_job_stays_cancelled(slurm: Slurm, timed: str) -> None:
    slurm.start_now(timed)
    assert "asking all ranks to save and leave" in slurm.log("timed", timed)
    saved = json.loads(slurm.ganforge("status", "runs/timed", "--json").stdout)[0]
    assert saved["checkpoint_step"] == saved["step"] > 0
    slurm.wait_for_step("timed", saved["step"] + 10)
    assert "resumed from" in slurm.log("timed", timed)
    slurm.call("scancel", timed)
    slurm.wait(timed, "CANCELLED", seconds=90)
    assert "it was cancelled" in slurm.log("timed", timed)
    assert slurm.state(timed) == "CANCELLED"


def test_a_launcher_a_node_does_not_swallow_the_wish_to_be_requeued(slurm: Slurm, unbroken: Path) -> None:
    """And the signal goes to the batch shell, as before a time limit, while the ranks still start."""
    job = slurm.submit("launchers", "--launcher", "accelerate", steps=STEPS)
    slurm.until(lambda: len(slurm.ranks("launchers")) == 2, "both ranks start", 120)
    slurm.call("scancel", "--batch", "--signal=USR1", job)
    slurm.start_now(job)
    assert "asking all ranks to save and leave" in slurm.log("launchers", job)
    assert not list((slurm.run_folder("launchers") / "slurm").glob("saved-*"))
    slurm.wait(job, "COMPLETED")
    assert "resumed from" in slurm.log("launchers", job)
    assert_same_run(unbroken, slurm.run_folder("launchers"))


def test_one_node_s_task_killed_ends_the_job_soon_and_loses_no_checkpoint(slurm: Slurm, unbroken: Path) -> None:
    job = slurm.submit("killed", steps=STEPS)
    slurm.wait_for_step("killed", 30)
    os.kill(slurm.ranks("killed")[1], signal.SIGKILL)
    slurm.wait(job, "FAILED", seconds=90)
    log = slurm.log("killed", job)
    assert "task 1: Killed" in log
    assert "another rank has died" in log
    assert f"scontrol requeue {job}" in log
    slurm.call("scontrol", "requeue", job)
    slurm.start_now(job)
    slurm.wait(job, "COMPLETED")
    assert_same_run(unbroken, slurm.run_folder("killed"))


def test_a_script_for_gpus_is_one_that_slurm_takes(slurm: Slurm) -> None:
    """GPUs in name only: sbatch checks every option against the nodes, and starts nothing."""
    for name, options in {
        "plain": ["--nodes", "2", "--gpus-per-node", "8", "--time", "24:00:00", "--cpus-per-task", "4"],
        "launchers": ["--nodes", "2", "--gpus-per-node", "8", "--launcher", "accelerate", "--cpus-per-task", "4"],
        "seeds": ["--gpus-per-node", "1", "--array", "0-4%2", "--sbatch=--mem=100M", "--sbatch=--exclusive"],
    }.items():
        sets = ["--set", f"name={name}", "--set", "training.batch_size=32"]
        recipe = Path(__file__).parents[2] / "recipes" / "digits32.toml"
        said = slurm.ganforge("slurm", recipe, *options, *sets, "--no-submit").stdout
        script = said.split("sbatch ")[1].strip()
        assert "to start at" in slurm.call("sbatch", "--test-only", script).stderr


def test_a_chain_goes_on_where_requeueing_is_forbidden(slurm: Slurm, unbroken: Path) -> None:
    said = slurm.submit("chained", "--chain", "3", steps=STEPS)
    first, second, third = said.split(", ")
    slurm.wait_for_step("chained", 10)
    slurm.call("scancel", "--signal=USR1", first)
    slurm.wait(second, "COMPLETED")
    assert "resumed from" in slurm.log("chained", second)
    slurm.wait(third, "CANCELLED", seconds=90)  # there is nothing left for it to do
    assert_same_run(unbroken, slurm.run_folder("chained"))


def _node(process: int) -> str:
    variables = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    return next(line.partition(b"=")[2].decode() for line in variables if line.startswith(b"SLURMD_NODENAME="))
