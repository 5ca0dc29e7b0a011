"""Write a training's batch script into its run folder, and hand it to SLURM."""

import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ganforge.cluster.job import Job
from ganforge.cluster.script import Training, render
from ganforge.errors import GanforgeError
from ganforge.files import write_text
from ganforge.recipe import Recipe
from ganforge.run_files import RunFolder


def seeds_of(array: str) -> list[int]:
    """The indices of a job array in SLURM's own words: `0-4`, `1,3,7`, `0-8:2`, `0-9%2` (two at a time).

    Raises:
        GanforgeError: the text is not an array of seeds.
    """
    indices, _, limit = array.partition("%")
    seeds: list[int] = []
    for part in indices.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+)(?::([1-9]\d*))?)?", part)
        if match is None or (limit or "1").strip("0123456789"):
            raise GanforgeError(
                f"--array {array}: must be seeds as SLURM writes them, such as 0-4, 1,3,7 or 0-9%2 (two at a time)"
            )
        first, last, stride = match.group(1), match.group(2) or match.group(1), match.group(3) or "1"
        seeds.extend(range(int(first), int(last) + 1, int(stride)))
    return seeds


@dataclass(frozen=True)
class Submission:
    """A training run to be submitted to SLURM.

    Args:
        job: resources that it asks for.
        recipe: resolved recipe; gives the name and the run folder.
        source: the recipe's file, which is copied as it is: what was submitted is what trains, however long it waits.
        overrides: values of `--set`.
        array: seeds as SLURM writes them, or None.
        command: command line as typed, for the script's first comment.
    """

    job: Job
    recipe: Recipe
    source: Path
    overrides: Sequence[str]
    array: str | None
    command: Sequence[str]

    @property
    def folders(self) -> list[Path]:
        """Run folders, one a seed."""
        folder = self.recipe.folder
        if self.array is None:
            return [folder]
        return [folder.with_name(f"{folder.name}-seed{seed}") for seed in seeds_of(self.array)]

    @property
    def _first(self) -> RunFolder:
        """The run folder that holds what all seeds share."""
        return RunFolder(self.folders[0])

    @property
    def script(self) -> Path:
        """Path of the script; with an array, in the run folder of the first seed."""
        return self._first.slurm_script

    def log_of(self, number: str) -> Path:
        """Path of a job's log; with an array, that of its first seed."""
        return self._first.slurm_log(number)

    def text(self) -> str:
        """The script."""
        folder = self.recipe.folder
        own = RunFolder(folder if self.array is None else folder.with_name(f"{folder.name}-seed%a"))
        training = Training(
            title="Written by: " + " ".join(shlex.join(self.command).split()),
            name=self.recipe.name,
            folder=str(folder),
            recipe=str(self._first.slurm_recipe),
            log=str(own.slurm_log("%j" if self.array is None else "%A")),
            overrides=self.overrides,
            chdir=str(Path.cwd()),
            python=self.job.python or ("python" if self.job.container else sys.executable),
            seeds=self.array,
        )
        return render(self.job, training)

    def write(self) -> Path:
        """Put script and recipe into the run folder.

        Raises:
            GanforgeError: the folder cannot be written.
        """
        try:
            for folder in self.folders:  # SLURM makes no folders for logs: the job would end without a message
                RunFolder(folder).slurm.mkdir(parents=True, exist_ok=True)
            write_text(self._first.slurm_recipe, self.source.read_text(encoding="utf-8"))
            write_text(self.script, self.text())
        except OSError as error:
            raise GanforgeError(f"{self.script}: cannot be written: {error.strerror}") from error
        self.script.chmod(0o755)
        return self.script

    def submit(self) -> list[str]:
        """Write the script and queue it: the jobs' numbers, one, or as many as the chain is long.

        Raises:
            GanforgeError: SLURM is not installed here, or refuses the job.
        """
        script = self.write()
        numbers: list[str] = []
        for _ in range(self.job.chain):
            waits = [f"--dependency=afterany:{numbers[-1]}"] if numbers else []
            numbers.append(_sbatch([*waits, str(script)]))
        for folder, seed in zip(self.folders, seeds_of(self.array) if self.array else [None], strict=True):
            own = [number if seed is None else f"{number}_{seed}" for number in numbers]
            files = RunFolder(folder)
            if len(own) > 1:
                write_text(files.slurm_chain, "".join(f"{number}\n" for number in own))
            with files.slurm_jobs.open("a") as jobs:
                jobs.write(f"{own[0]}\n")
        return numbers


def _sbatch(arguments: Sequence[str]) -> str:
    try:
        done = subprocess.run(["sbatch", "--parsable", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise GanforgeError(
            f"there is no sbatch here; run this on a login node of the cluster, or copy {arguments[-1]} there"
        ) from error
    if done.returncode:
        reason = " ".join(done.stderr.replace("sbatch: error: ", "").split())
        raise GanforgeError(f"SLURM refuses {arguments[-1]}: {reason}{_remedy(reason)}")
    return done.stdout.strip().partition(";")[0]


def _remedy(reason: str) -> str:
    if "partition" in reason.lower():
        names = subprocess.run(["sinfo", "--noheader", "--format=%R"], capture_output=True, text=True, check=False)
        known = ", ".join(dict.fromkeys(names.stdout.split()))
        return f"; partitions: {known}" if known else ""
    return ""
