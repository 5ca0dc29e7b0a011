"""Going on with a run: which checkpoint, and whether the recipe still describes the same run."""

import tomllib
from pathlib import Path
from typing import Any, Literal

from ganforge.errors import CheckpointError, Problem, RecipeError
from ganforge.recipe import Recipe, difference
from ganforge.redaction import without_credentials
from ganforge.saved.checkpoint import Checkpoint, whole_checkpoints
from ganforge.variables import as_written
from ganforge.wording import counted

Resume = Literal["auto", "must", "never"]

KEEPS_THE_RUN = (
    "output",
    "training.steps",
    "training.log_every",
    "training.on_divergence",
    "performance.channels_last",
    "performance.cudnn_benchmark",
    "performance.compile",
    "performance.cuda_graphs",
    "performance.keep_memory",
    "training.rollback_limit",
    "samples.",
    "checkpoint.",
    "evaluation.",
    "health.",
    "tracking.",
    "data.cache_dir",
    "data.reader",
    "data.workers",
    "data.prefetch",
    "data.cache_limit_gb",
    "data.max_corrupt",
)
"""Keys of a recipe that may change without making it another run."""


def find_checkpoint(folder: Path, resume: Resume) -> Checkpoint | None:
    """The newest whole checkpoint of a run folder, or None to begin at step 0.

    Raises:
        CheckpointError: `must` and there is none, or `never` and there is one, which would be lost.
    """
    checkpoints = whole_checkpoints(folder / "checkpoints")
    if resume == "never" and checkpoints:
        raise CheckpointError(
            f"{folder} holds a run with {counted(len(checkpoints), 'checkpoint')}; remove the folder, or choose "
            "another with --set name=... or --set output=..."
        )
    if not checkpoints:
        if resume == "must":
            raise CheckpointError(f"{folder}: there is no whole checkpoint to resume from")
        return None
    return Checkpoint(checkpoints[-1])


def check_same_run(recipe: Recipe, checkpoint: Checkpoint, allow_changed: bool) -> list[str]:
    """What has changed in the recipe since the checkpoint, a line a key, for people to see.

    Raises:
        RecipeError: something changed that would not be the same run, and `allow_changed` is False.
    """
    old = as_written(tomllib.loads(checkpoint.text("recipe.resolved.toml")))
    changes = difference(old, as_written(recipe.to_dict()))
    lines = [f"{key}: {_show(before)} -> {_show(after)}" for key, (before, after) in changes.items()]
    breaking = [key for key in changes if not key.startswith(KEEPS_THE_RUN)]
    if breaking and not allow_changed:
        problems = [Problem(key, f"was {_show(changes[key][0])}, is now {_show(changes[key][1])}") for key in breaking]
        remedy = (
            f"{recipe.folder} was begun under another recipe; change it back, choose another --set name=..., "
            "or go on regardless with --allow-changed"
        )
        raise RecipeError(recipe.name, [*problems, Problem("", remedy)])
    return lines


def _show(value: Any) -> str:
    return "nothing" if value is None else without_credentials(repr(value))
