"""Kill a training at random moments, many times, and see that nothing was lost.

    python tests/soak/kill_loop.py --times 100
    python tests/soak/kill_loop.py --times 20 --processes 2

Trains a tiny recipe once unbroken. Then trains it again, kills it with SIGKILL after a random time,
starts it again, and so on; it saves a checkpoint every other step, so that many kills fall into the
middle of writing one. At the end both run folders must hold the same run bit for bit: figures,
pictures, weights, optimizers, random states. Prints how many kills left a half-written checkpoint.
"""

import argparse
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("XDG_CACHE_HOME", tempfile.gettempdir())
sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from accelerate import debug_launcher
from same_run import assert_same_run

from ganforge.recipe import Recipe, resolve
from ganforge.saved.checkpoint import torn_checkpoints, whole_checkpoints
from ganforge.training.session import run_session

STEPS_A_KILL = 25


def recipe_for(folder: Path, name: str, steps: int) -> Recipe:
    """Everything that has state: dropout, noise, batches, a lazy penalty, an average, metrics."""
    return resolve(
        {
            "name": name,
            "output": str(folder),
            "data": {"name": "ring", "samples": 2000, "cache_dir": str(folder / "cache")},
            "generator": {"name": "mlp", "width": 32, "latent_dim": 8, "norm": "batch"},
            "discriminator": {"name": "mlp", "width": 32, "dropout": 0.2},
            "penalties": [{"name": "r1", "gamma": 0.1, "interval": 4}],
            "augment": [{"name": "instance_noise", "sigma": 0.05}],
            "training": {"steps": steps, "batch_size": 16, "log_every": 3, "ema": 200.0},
            "evaluation": {"metrics": ["modes"], "every": 50, "num_fakes": 100},
            "checkpoint": {"every": 2},
            "samples": {"every": 0, "num": 16},
        }
    )


def session(recipe: Recipe) -> None:
    torch.set_num_threads(1)
    assert run_session(recipe) == 0


def start(recipe: Recipe, processes: int) -> int:
    """A training in a process group of its own; forked, so that it need not import everything again."""
    child = os.fork()
    if child:
        return child
    os.setsid()
    code = 1
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        if processes > 1:
            debug_launcher(session, (recipe,), num_processes=processes)
        else:
            session(recipe)
        code = 0
    finally:
        os._exit(code)


def finish(child: int) -> None:
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit("a training ended by itself with an error; see above")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=100, help="number of kills")
    parser.add_argument("--processes", type=int, default=1, help="processes of the training")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    moments = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        steps = STEPS_A_KILL * arguments.times
        began = time.monotonic()
        unbroken = recipe_for(folder, "unbroken", steps)
        child = start(unbroken, arguments.processes)
        while not whole_checkpoints(unbroken.folder / "checkpoints") and time.monotonic() < began + 60:
            time.sleep(0.005)
        startup = time.monotonic() - began
        finish(child)
        training = time.monotonic() - began - startup
        print(f"unbroken: {steps} steps in {training:.1f} s, after {startup:.1f} s to the first checkpoint", flush=True)

        killed = recipe_for(folder, "killed", steps)
        kills = torn = early = 0
        while kills < arguments.times:
            child = start(killed, arguments.processes)
            life = moments.uniform(0.5 * startup, startup + 2 * training / arguments.times)
            deadline = time.monotonic() + life
            while time.monotonic() < deadline and not os.waitpid(child, os.WNOHANG)[0]:
                time.sleep(0.001)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, 0)
            kills += 1
            early += not whole_checkpoints(killed.folder / "checkpoints")
            torn += bool(torn_checkpoints(killed.folder / "checkpoints"))
        checkpoints = whole_checkpoints(killed.folder / "checkpoints")
        where = checkpoints[-1].name if checkpoints else "the start"
        print(f"{kills} kills: {torn} left a half-written checkpoint, {early} came before the first; now at {where}")
        finish(start(killed, arguments.processes))
        assert_same_run(folder / "unbroken", folder / "killed")
        print("the same run, bit for bit")


if __name__ == "__main__":
    main()
