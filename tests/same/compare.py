"""Whether training is the same as at another commit, bit for bit: `make same BASE=<commit>`.

Four short trainings, by each tree from the beginning, and by this one from a checkpoint of the other's as well: points,
pictures with batch norm, R1 with ADA and micro-batches, and two processes. Prints "equal" for each, or what differs.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Case:
    """A training: a recipe below the tree, its steps and its processes."""

    name: str
    recipe: str
    steps: int
    processes: int = 1


CASES = (
    Case("points", "recipes/ring2d.toml", 50),
    Case("pictures", "recipes/digits32.toml", 20),
    Case("R1, ADA and micro-batches", "tests/same/r1-ada.toml", 20),
    Case("two processes", "tests/same/r1-ada.toml", 12, processes=2),
)


def train(tree: Path, case: Case, output: Path, *options: str) -> None:
    """Train with a tree's own code; the recipe is this tree's."""
    command = [sys.executable, "-m"]
    if case.processes > 1:
        command += ["torch.distributed.run", "--standalone", "--nproc_per_node", str(case.processes), "-m"]
    command += ["ganforge", "train", str(TREE / case.recipe), "--set", f"output={output}"]
    for setting in (
        f"training.steps={case.steps}",
        f"checkpoint.every={case.steps // 2}",
        "training.log_every=1",
        "evaluation.every=0",
        "evaluation.at_end=false",
    ):
        command += ["--set", setting]
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run([*command, *options], cwd=tree, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{case.name}, {tree}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")


def run_folder(output: Path) -> Path:
    (folder,) = [path for path in output.iterdir() if path.is_dir()]
    return folder


def compare(case: Case, base: Path, work: Path) -> list[str]:
    """What is not the same, in words."""
    from same_run import assert_same_run

    train(base, case, work / "before")
    train(TREE, case, work / "after")
    shutil.copytree(work / "before", work / "resumed")
    shutil.rmtree(sorted((run_folder(work / "resumed") / "checkpoints").glob("step-*"))[-1])  # that of the end
    train(TREE, case, work / "resumed", "--resume", "must")
    different = []
    for output, words in (("after", "trained again"), ("resumed", "resumed from the other's checkpoint")):
        try:
            assert_same_run(run_folder(work / "before"), run_folder(work / output))
        except AssertionError as error:
            different.append(f"{words}: {error}")
    return different


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("base", help="commit to compare with")
    arguments = parser.parse_args()
    sys.path.insert(0, str(TREE / "tests"))
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "base"
        git = ["git", "-C", str(TREE), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(base), arguments.base], check=True)
        try:
            for number, case in enumerate(CASES):
                work = Path(folder) / str(number)
                work.mkdir()
                different = compare(case, base, work)
                failed |= bool(different)
                print(f"{case.name}: {'; '.join(different) or 'equal'}", flush=True)
                shutil.rmtree(work)
        finally:
            subprocess.run([*git, "remove", "--force", str(base)], check=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
