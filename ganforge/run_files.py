"""Names of all that a run leaves on the disk, and what its text files say, in whatever state they are.

This stands near the ground, since the rooms that write these files (`saved`, `telemetry`, `training`, `cluster`) and
those that only read them (`doctor`, `report`, `cli`) have nothing else in common; so it imports nothing heavy.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic_core import from_json

from ganforge.errors import GanforgeError
from ganforge.toml_files import LARGEST, decoded, read_toml

RECIPE = "recipe.resolved.toml"
CHECKPOINTS = "checkpoints"
GENERATOR = "generator."
GENERATORS = f"{GENERATOR}*.safetensors"
STEP = "step-"
"""What checkpoints and sample grids are called before their step."""
NEWEST, DAMAGED = "last", "damaged-"
"""Among the checkpoints: a file with the name of the newest; what one that was set aside is called before its name."""


def step_name(step: int) -> str:
    """Name of a checkpoint's folder, and of a sample grid without its suffix: `step-00000500`."""
    return f"{STEP}{step:08d}"


@dataclass(frozen=True)
class RunFolder:
    """Paths in a run folder; none of them has to be there.

    W&B keeps files of its own in `wandb/`.

    Args:
        path: of the folder.
    """

    path: Path

    @property
    def recipe(self) -> Path:
        """The recipe that is trained, with every default filled in; written when training begins or resumes."""
        return self.path / RECIPE

    @property
    def metrics(self) -> Path:
        """Losses, speed and metrics, one JSON object a line; written by `telemetry`."""
        return self.path / "metrics.jsonl"

    @property
    def evaluations(self) -> Path:
        """Metrics with the protocol that they follow, one JSON object a line; by training and `ganforge evaluate`."""
        return self.path / "evaluations.jsonl"

    @property
    def health(self) -> Path:
        """The doctor's findings, one JSON object a line; it is there, if empty, whenever the doctor watches."""
        return self.path / "health.jsonl"

    @property
    def tracker_id(self) -> Path:
        """JSON with the id under which trackers such as W&B know the run; made once by `telemetry`."""
        return self.path / "run.json"

    @property
    def tensorboard(self) -> Path:
        """Folder of TensorBoard's event files."""
        return self.path / "tensorboard"

    @property
    def samples(self) -> Path:
        """Folder of the sample grids."""
        return self.path / "samples"

    def sample_grid(self, step: int) -> Path:
        """Picture of samples from the same latents at every step; written by training."""
        return self.samples / f"{step_name(step)}.png"

    @property
    def any_sample_grid(self) -> str:
        """Pattern of the sample grids' paths from the run folder."""
        return f"{self.samples.name}/{STEP}*.png"

    def sample_grids(self) -> dict[int, Path]:
        """The grids that are there, by step."""
        return _numbered(self.samples, f"{STEP}*.png")

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints, each a folder of its own (`CheckpointFolder`); written by `saved`.

        Beside them: `NEWEST`, half-written ones with a dot before their names, and `DAMAGED` ones that were set aside.
        """
        return self.path / CHECKPOINTS

    @property
    def any_checkpoint(self) -> str:
        """Pattern of the checkpoints' paths from the run folder."""
        return f"{CHECKPOINTS}/{STEP}*"

    def checkpoint_states(self) -> Iterator[tuple[Path, Mapping[str, Any]]]:
        """What the checkpoints say of themselves, the newest first; one that says nothing is passed over."""
        for _, checkpoint in sorted(_numbered(self.checkpoints, f"{STEP}*").items(), reverse=True):
            path = CheckpointFolder(checkpoint).state
            try:
                if path.is_file() and path.stat().st_size <= LARGEST:
                    state = from_json(path.read_bytes())
                    if isinstance(state, dict):
                        yield path, state
            except (OSError, ValueError):
                continue

    def generator(self, which: Literal["best", "last"]) -> Path:
        """Averaged generator with its config, of the newest checkpoint or of the best evaluation; written by training.

        A `.json` beside it shows the config to people.
        """
        return self.path / f"{GENERATOR}{which}.safetensors"

    def generators(self) -> list[Path]:
        """The generator files that are there."""
        return sorted(self.path.glob(GENERATORS))

    @property
    def lock(self) -> Path:
        """Locked by the training that runs here."""
        return self.path / ".lock"

    @property
    def holder(self) -> Path:
        """JSON with host and number of the process that holds the lock."""
        return self.path / ".holder"

    @property
    def session(self) -> Path:
        """Token of rank 0, by which other ranks see that they share the folder."""
        return self.path / ".session"

    @property
    def restarted(self) -> Path:
        """JSON with the job that has last moved aside what was here (`--restart`)."""
        return self.path / ".restarted"

    def moved_aside(self, number: int) -> Path:
        """Folder of what was here before the restart with this number, from 1."""
        return self.path / f".old-{number}"

    @staticmethod
    def is_moved_aside(name: str) -> bool:
        """Whether a name in the folder is one of `moved_aside`."""
        return name.startswith(".old-")

    @property
    def slurm(self) -> Path:
        """Folder of what `ganforge slurm` writes, and of its jobs' logs."""
        return self.path / "slurm"

    @property
    def slurm_script(self) -> Path:
        """The batch script."""
        return self.slurm / "job.sh"

    @property
    def slurm_recipe(self) -> Path:
        """Copy of the recipe as it was submitted, which is what trains."""
        return self.slurm / "recipe.toml"

    @property
    def slurm_jobs(self) -> Path:
        """Numbers of the jobs that were submitted, a line each; of a chain, its first."""
        return self.slurm / "jobs"

    @property
    def slurm_chain(self) -> Path:
        """Numbers of the newest chain's jobs, a line each."""
        return self.slurm / "chain"

    def slurm_log(self, number: str) -> Path:
        """Output of a job; SLURM writes it."""
        return self.slurm / f"{number}.log"

    def read_recipe(self) -> Mapping[str, Any]:
        """The tables of the resolved recipe; nobody has checked them.

        Raises:
            GanforgeError: the folder is not a run folder, or the file cannot be read.
        """
        path = self.recipe
        try:
            if path.is_file():
                return read_toml(path)
        except OSError as error:
            raise GanforgeError(f"{path}: cannot be read: {error.strerror}") from error
        except ValueError as error:
            copies = "; the newest folder of its checkpoints has a copy"
            raise GanforgeError(f"{path}: {error}{copies}") from error
        raise GanforgeError(f"{self.path}: is not a run folder (it has no {RECIPE}); name one, such as runs/digits32")

    def recipe_text(self) -> str:
        """The resolved recipe as it stands in its file, which `read_recipe` has read."""
        with self.recipe.open("rb") as file:
            return decoded(file.read(LARGEST))


@dataclass(frozen=True)
class CheckpointFolder:
    """Paths in a checkpoint; `saved/checkpoint.py` says how it is written and read.

    Args:
        path: of the folder.
    """

    path: Path

    @property
    def state(self) -> Path:
        """JSON: step, position in the data, best so far, versions; size and sha256 of each other file."""
        return self.path / "checkpoint.json"

    @property
    def recipe(self) -> Path:
        """The resolved recipe at that step."""
        return self.path / RECIPE

    @property
    def averaged(self) -> Path:
        """Weights of the averaged generator."""
        return self.path / network_file("averaged")

    @property
    def training(self) -> Path:
        """Optimizers, gradient scalers and other state that all ranks share."""
        return self.path / "training.pt"


def network_file(name: str) -> str:
    """Name of a network's weights in a checkpoint."""
    return f"{name}.safetensors"


def rank_file(rank: int) -> str:
    """Name of a rank's own part of a checkpoint: random states and meters."""
    return f"rank-{rank:05d}.pt"


def is_rank_file(name: str) -> bool:
    """Whether a name in a checkpoint is a rank's."""
    return name.startswith("rank-")


def _numbered(folder: Path, pattern: str) -> dict[int, Path]:
    """Files or folders such as `step-00000500.png` by their number; what is called otherwise is not ours."""
    found = {}
    for path in sorted(folder.glob(pattern)):
        digits = re.fullmatch(rf"{STEP}([0-9]{{1,18}})(\.[a-z]+)?", path.name)
        if digits is not None:
            found[int(digits[1])] = path
    return found
