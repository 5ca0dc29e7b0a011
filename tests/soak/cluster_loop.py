"""Preempt, kill and requeue a job of a real SLURM at random moments, and see that nothing was lost.

    python tests/soak/cluster_loop.py --rounds 20

Starts a throw-away SLURM of two nodes on this machine (needs Debian's slurm-wlm; munge if it is there) and trains the
digits recipe on both, once unbroken. A second job is then disturbed in every round, after a random number of steps, in
one of these ways: SIGUSR1 to its tasks; SIGUSR1 to its batch shell, as before a time limit; SIGKILL to one task;
`scontrol requeue` from outside. In the end both run folders must hold the same run bit for bit: figures, pictures,
weights, optimizers, random states.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).parents[1]))

from cluster.throwaway_slurm import Slurm, throwaway_slurm
from same_run import assert_same_run

STEPS_A_ROUND = 100
WAYS = ("signal", "shell", "kill", "requeue")


def disturb(slurm: Slurm, job: str, way: str, rank: int) -> bool:
    """Once; whether the job still ran, so that there was something to disturb."""
    processes = slurm.ranks("disturbed")
    if slurm.state(job) != "RUNNING" or rank not in processes:
        return False
    if way == "signal":
        slurm.call("scancel", "--signal=USR1", job, check=False)
    elif way == "shell":
        slurm.call("scancel", "--batch", "--signal=USR1", job, check=False)
    elif way == "kill":
        os.kill(processes[rank], signal.SIGKILL)
    else:
        slurm.call("scontrol", "requeue", job, check=False)
    return True


def start_again(slurm: Slurm, job: str) -> bool:
    """Once it has left its nodes; False if it had reached its end."""
    slurm.wait(job, "PENDING", "FAILED", "COMPLETED", seconds=300)
    state = slurm.state(job)
    if state == "COMPLETED":
        return False
    if state == "FAILED":
        slurm.call("scontrol", "requeue", job)
    slurm.start_now(job)
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="number of disturbances")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and ways")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    steps = STEPS_A_ROUND * (arguments.rounds + 1)
    with tempfile.TemporaryDirectory() as name, throwaway_slurm(Path(name)) as slurm:
        began = time.monotonic()
        slurm.wait(slurm.submit("unbroken", steps=steps), "COMPLETED", seconds=120 + steps)
        print(f"unbroken: {steps} steps in {time.monotonic() - began:.0f} s", flush=True)
        job = slurm.submit("disturbed", steps=steps)
        ways = [WAYS[index % len(WAYS)] for index in range(arguments.rounds)]
        chance.shuffle(ways)
        for number, way in enumerate(ways, start=1):
            slurm.until(lambda: len(slurm.ranks("disturbed")) == 2, "both ranks start", 120)
            mark = slurm.last_step("disturbed")
            slurm.until(lambda mark=mark: slurm.last_step("disturbed") > mark, "it goes on", 120)
            time.sleep(chance.uniform(0, 1.5))
            if not disturb(slurm, job, way, chance.randrange(2)) or not start_again(slurm, job):
                print(f"it reached its end before round {number}", flush=True)
                break
            print(f"round {number}: {way} after step {slurm.last_step('disturbed')}", flush=True)
        slurm.wait(job, "COMPLETED", seconds=120 + steps)
        assert_same_run(slurm.run_folder("unbroken"), slurm.run_folder("disturbed"))
        resumed = slurm.log("disturbed", job).count("resumed from")
        print(f"resumed {resumed} times; the same run, bit for bit")


if __name__ == "__main__":
    main()
