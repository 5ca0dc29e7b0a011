"""What a job asks SLURM for: the options of `ganforge slurm`, and of the site's defaults."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from ganforge.errors import GanforgeError, Problem
from ganforge.options import OptionsModel, validate
from ganforge.toml_files import read_toml

Launcher = Literal["srun", "accelerate"]
Positive = Annotated[int, Field(ge=1)]

TIME = re.compile(r"(\d+-\d+(:\d+){0,2}|\d+(:\d+){0,2})")


def _time(text: str) -> str:
    if TIME.fullmatch(text) is None:
        raise ValueError("must be a time such as 24:00:00, 1-12 or 90 (minutes)")
    return text


class Job(OptionsModel):
    """What a job asks for. A site's file has the same keys.

    Args:
        nodes: number of nodes.
        gpus_per_node: GPUs on each node; 0 trains on CPUs.
        tasks_per_node: processes on each node; without GPUs by default 1, with GPUs always one a GPU.
        cpus_per_task: cores of each process, for its readers; by default what the site gives.
        time: limit, as SLURM writes it.
        partition: queue.
        account: account that is charged.
        qos: quality of service.
        constraint: features that nodes must have.
        sbatch: further options of `sbatch`, as in `["--mem=0", "--exclusive"]`.
        container: a `.sif` file for Apptainer, else an image for Pyxis (`srun --container-image`).
        env_setup: shell lines that run before training, as in `module load cuda`.
        python: interpreter with ganforge installed; by default the one that writes the script, in a container `python`.
        launcher: `srun` starts one task a process; `accelerate` one `accelerate launch` a node.
        accelerate_config: a file for `accelerate launch --config_file`; only with that launcher.
        grace: seconds before the time limit at which everything is saved.
        chain: number of jobs that follow each other, for queues that do not let a job be queued again.
    """

    nodes: Positive = 1
    gpus_per_node: Annotated[int, Field(ge=0)] = 1
    tasks_per_node: Positive | None = None
    cpus_per_task: Positive | None = None
    time: Annotated[str, AfterValidator(_time)] | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    sbatch: tuple[Annotated[str, Field(pattern=r"^--?[a-zA-Z]")], ...] = ()
    container: str | None = None
    env_setup: str | None = None
    python: str | None = None
    launcher: Launcher = "srun"
    accelerate_config: str | None = None
    grace: Annotated[int, Field(ge=10, le=65535)] = 120
    chain: Positive = 1

    @property
    def processes_per_node(self) -> int:
        """Ranks on each node."""
        return self.gpus_per_node or self.tasks_per_node or 1

    @property
    def ranks(self) -> int:
        """World size."""
        return self.nodes * self.processes_per_node


def site_file() -> Path:
    """The file with a site's, or a user's, defaults."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "ganforge" / "slurm.toml"


def site_defaults(path: Path) -> dict[str, Any]:
    """The keys of a site's file, checked; nothing if there is no such file.

    Raises:
        GanforgeError: the file is not TOML, or a key is unknown or has a wrong value.
    """
    try:
        table = read_toml(path)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise GanforgeError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise GanforgeError(f"{path}: cannot be read as TOML: it {error}") from error
    _, problems = validate(Job, table)
    _refuse(str(path), problems)
    return table


def make_job(site: Mapping[str, Any], given: Mapping[str, Any]) -> Job:
    """A site's defaults overridden by the command line, where None means not given. Both lists of `sbatch` are kept.

    Raises:
        GanforgeError: a value is wrong, or two contradict each other.
    """
    said = {key: value for key, value in given.items() if value is not None}
    said["sbatch"] = [*site.get("sbatch", ()), *said.get("sbatch", ())]
    job, problems = validate(Job, {**site, **said})
    _refuse("", [Problem(f"--{problem.path.replace('_', '-')}", problem.message) for problem in problems])
    assert isinstance(job, Job)
    if job.gpus_per_node and job.tasks_per_node not in (None, job.gpus_per_node):
        raise GanforgeError(
            f"--tasks-per-node {job.tasks_per_node}: with GPUs there is one process a GPU, {job.gpus_per_node} here; "
            "leave it out, or say --gpus-per-node 0 to train on CPUs"
        )
    if job.accelerate_config is not None and job.launcher != "accelerate":
        raise GanforgeError("--accelerate-config: only `accelerate launch` reads it; say --launcher accelerate as well")
    return job


def _refuse(source: str, problems: list[Problem]) -> None:
    if problems:
        raise GanforgeError("\n".join(f"{source}: {problem}" if source else str(problem) for problem in problems))
