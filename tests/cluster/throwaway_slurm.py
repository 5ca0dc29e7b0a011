"""A throw-away SLURM of two nodes for tests and the soak, and the real digits recipe as its job."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

TESTS = Path(__file__).parents[1]
RECIPE = TESTS.parent / "recipes" / "digits32.toml"
SBIN = "/usr/sbin:/sbin"
"""Where Debian keeps daemons, which is not in everybody's PATH."""

TWO_NODES = ("--nodes", "2", "--gpus-per-node", "0", "--env-setup", "export GLOO_SOCKET_IFNAME=lo")
ONE_NODE = ("--nodes", "1", "--gpus-per-node", "0")


def is_installed() -> bool:
    """Whether SLURM's daemons are on this machine."""
    return all(shutil.which(name, path=f"{os.environ['PATH']}:{SBIN}") for name in ("slurmctld", "slurmd", "sbatch"))


class Slurm:
    """The clients of a running SLURM.

    Args:
        folder: of the daemons.
        work: where jobs are submitted; run folders are below it, in `runs`.
    """

    def __init__(self, folder: Path, work: Path) -> None:
        self.folder, self.work = folder, work
        self.environment = {
            **os.environ,
            "PATH": f"{os.environ['PATH']}:{SBIN}",
            "SLURM_CONF": str(folder / "slurm.conf"),
            "XDG_CACHE_HOME": str(work / "cache"),
            "XDG_CONFIG_HOME": str(work / "config"),
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
        }

    def call(self, *command: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a client of SLURM, or anything else that should find it."""
        done = subprocess.run(
            [str(part) for part in command], env=self.environment, cwd=self.work,
            capture_output=True, text=True, timeout=240,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done

    def ganforge(self, *arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.call(sys.executable, "-m", "ganforge", *arguments, check=check)

    def submit(self, name: str, *options: str, steps: int, nodes: tuple[str, ...] = TWO_NODES) -> str:
        """Train the digits recipe, shortened, under another name; the job's number."""
        changes = {
            "name": name, "training.steps": steps, "training.log_every": 10, "checkpoint.every": 20,
            "samples.every": 0, "samples.num": 16, "evaluation.metrics": "[]",
        }  # fmt: skip
        sets = [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]
        said = self.ganforge("slurm", RECIPE, *nodes, *sets, *options).stdout
        return said.split(":")[0].removeprefix("submitted ").partition(" ")[2]

    def run_folder(self, name: str) -> Path:
        return self.work / "runs" / name

    def log(self, name: str, job: str) -> str:
        path = self.run_folder(name) / "slurm" / f"{job}.log"
        return path.read_text() if path.exists() else ""

    def state(self, job: str) -> str:
        """In one word, such as RUNNING."""
        return self.call("squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={job}").stdout.strip()

    def start_now(self, job: str) -> None:
        """A job that was queued again waits for two minutes, unless told; its nodes need a moment to forget it."""
        question = ("squeue", "--noheader", "--format=%T %r", f"--jobs={job}")
        self.until(lambda: self.call(*question).stdout.strip() == "PENDING BeginTime", f"job {job} waits", 240)
        time.sleep(1.5)  # else they take it for the one that has just ended: "Job credential revoked"
        self.call("scontrol", "update", f"JobId={job}", "StartTime=now")

    def wait(self, job: str, *states: str, seconds: float = 240) -> str:
        """Until the job is in one of the states."""
        return self.until(lambda: (state := self.state(job)) in states and state, f"job {job} is {states}", seconds)

    def wait_for_step(self, name: str, step: int, seconds: float = 240) -> None:
        """Until the run has logged a step; its log is written every ten."""
        self.until(lambda: self.last_step(name) >= step, f"step {step} of {name}", seconds)

    def last_step(self, name: str) -> int:
        """Of the run's log; 0 before its first line."""
        path = self.run_folder(name) / "metrics.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return next((json.loads(line)["step"] for line in reversed(lines) if line.endswith("}")), 0)

    def until(self, is_so: Callable[[], object], what: str, seconds: float) -> str:
        deadline = time.monotonic() + seconds
        while not (value := is_so()):
            if time.monotonic() > deadline:
                logs = "".join(path.read_text() for path in sorted(self.work.glob("runs/*/slurm/*.log")))
                raise AssertionError(f"not after {seconds} s: {what}\n{self.call('squeue', '--long').stdout}{logs}")
            time.sleep(0.2)
        return str(value)

    def ranks(self, name: str) -> dict[int, int]:
        """Process ids of a run's training processes, by rank."""
        found = {}
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                pairs = (line.partition(b"=") for line in (entry / "environ").read_bytes().split(b"\0"))
                variables = {name: value for name, _, value in pairs}
            except (OSError, ValueError):
                continue
            is_training = b"train" in words and f"runs/{name}/slurm/recipe.toml".encode() in words
            if is_training and b"python" in Path(os.fsdecode(words[0])).name.encode() and b"RANK" in variables:
                mine = variables.get(b"SLURM_CONF") == self.environment["SLURM_CONF"].encode()
                if mine:
                    found[int(variables[b"RANK"])] = int(entry.name)
        return found


@contextmanager
def throwaway_slurm(folder: Path) -> Iterator[Slurm]:
    """Start the daemons, wait until both nodes are idle, and end everything in the end."""
    daemons, work = folder / "slurm", folder / "work"
    daemons.mkdir(parents=True)
    work.mkdir()
    slurm = Slurm(daemons, work)
    script = Path(__file__).with_name("slurm_daemons.py")
    keeper = subprocess.Popen([sys.executable, str(script), str(daemons)], env=slurm.environment)
    try:
        slurm.until(lambda: _idle(slurm) == 2, "both nodes are idle", 120)
        yield slurm
    finally:
        keeper.terminate()
        keeper.wait(timeout=60)


def _idle(slurm: Slurm) -> int:
    if not (slurm.folder / "slurm.conf").exists():
        return 0
    return slurm.call("sinfo", "--noheader", "--Node", "--format=%t", check=False).stdout.split().count("idle")
