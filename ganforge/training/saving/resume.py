"""Going on with a run: which checkpoint, and whether the recipe still describes the same run."""

from collections.abc import Mapping
from typing import Any, Literal

from ganforge.arguments import argument, overriding
from ganforge.data.dataset import Dataset
from ganforge.errors import CheckpointError, DamagedCheckpointError, Problem, RecipeError
from ganforge.game.learning_rate import learning_rate_factor
from ganforge.nested import flat
from ganforge.recipe import Recipe, difference
from ganforge.redaction import without_credentials
from ganforge.run_files import RECIPE
from ganforge.run_folder.begun import ended_before_its_first_checkpoint, what_it_holds
from ganforge.saved.checkpoint import Checkpoint, whole_checkpoints
from ganforge.saved.newest import Found, find_usable
from ganforge.toml_files import tables_of
from ganforge.training.run import Run
from ganforge.variables import as_written
from ganforge.wording import counted

Resume = Literal["auto", "must", "never"]

ADDED: Mapping[str, Any] = {
    "degrade": [],
    "data.inverted": False,
    "discriminator.sees_source": False,
    "discriminator.wide": 0,
    "generator.class_dim": 128,
    "generator.hierarchical": False,
    "optimizer.generator.constant": 0.0,
    "optimizer.discriminator.constant": 0.0,
    "performance.deterministic": False,
    "training.freeze": 0,
    "training.pool": 0,
}
"""Options that recipes of earlier checkpoints lack, and the values at which they train what was trained without."""

KEEPS_THE_RUN = (
    "output",
    "training.steps",
    "training.log_every",
    "training.on_divergence",
    "performance.channels_last",
    "performance.cudnn_benchmark",
    "performance.deterministic",
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


def find_checkpoint(recipe: Recipe, resume: Resume) -> Found:
    """The newest checkpoint of a recipe's run folder that can be used, or none to begin at step 0.

    Raises:
        CheckpointError: `must` and there is none; `never` and the folder holds a run; or it holds one that cannot be
            gone on with, and that would be lost if it were started again.
    """
    folder = recipe.folder
    found = find_usable(recipe.files.checkpoints)
    if found.checkpoint is not None and resume != "never":
        return found
    if resume == "must":
        raise CheckpointError(f"{folder}: there is no whole checkpoint to resume from{_first_reason(found)}")
    refuse_begun(recipe, found)
    return Found(None)


def refuse_begun(recipe: Recipe, found: Found) -> None:
    """Never start again, unasked, where there is a run.

    Raises:
        CheckpointError: there is one, and it is more than the log of this same run, ended before its first checkpoint.
    """
    folder = recipe.folder
    held = what_it_holds(folder)
    if not held or (found.checkpoint is None and ended_before_its_first_checkpoint(recipe)):
        return
    if found.checkpoint is not None:
        held = [counted(len(whole_checkpoints(recipe.files.checkpoints)), "checkpoint")]
    why = "" if found.checkpoint is not None else f", none of which can be resumed{_first_reason(found)}"
    raise CheckpointError(
        f"{folder} holds a run with {', '.join(held)}{why}; to start over and keep what is there in "
        f"{recipe.files.moved_aside(1)}, say {argument('restart', True)}; or choose another folder with "
        f"{overriding('name=...')} or {overriding('output=...')}"
    )


def _first_reason(found: Found) -> str:
    return "".join(f" ({error.path.name}: {error.reason})" for error in found.passed_over[:1])


def check_same_run(recipe: Recipe, checkpoint: Checkpoint, allow_changed: bool) -> list[str]:
    """What has changed in the recipe since the checkpoint, a line a key, for people to see.

    Raises:
        RecipeError: something changed that would not be the same run, and `allow_changed` is False.
        DamagedCheckpointError: the checkpoint's recipe cannot be read.
    """
    old = as_written(_recipe_of(checkpoint))
    found = difference(old, as_written(recipe.to_dict()))
    changes = {key: (was, now) for key, (was, now) in found.items() if was is not None or ADDED.get(key, was) != now}
    lines = [f"{key}: {_show(before)} -> {_show(after)}" for key, (before, after) in changes.items()]
    breaking = [key for key in changes if not key.startswith(KEEPS_THE_RUN)]
    if breaking and not allow_changed:
        problems = [Problem(key, f"was {_show(changes[key][0])}, is now {_show(changes[key][1])}") for key in breaking]
        remedy = (
            f"{recipe.folder} was begun under another recipe; change it back, choose another "
            f"{overriding('name=...')}, or go on regardless with {argument('allow_changed', True)}"
        )
        raise RecipeError(recipe.name, [*problems, Problem("", remedy)])
    return lines


def check_same_data(run: Run, checkpoint: Checkpoint, allow_changed: bool) -> list[str]:
    """What has changed in the dataset since the checkpoint, for people to see.

    Raises:
        RecipeError: it is another, and `allow_changed` is False.
    """
    before, now = checkpoint.state.get("dataset"), identity(run.dataset, run.game.source.digest)
    if before is None or before == now:
        return []
    was, is_now = _described(before), _described(now)
    if allow_changed:
        return [f"data: {was} -> {is_now}"]
    remedy = (
        f"the dataset of {run.folder} is not the one it was begun with; restore that, choose another "
        f"{overriding('name=...')}, or go on regardless with {argument('allow_changed', True)}"
    )
    raise RecipeError(run.recipe.name, [Problem("data", f"was {was}, is now {is_now}"), Problem("", remedy)])


def identity(dataset: Dataset, source: str = "") -> dict[str, Any] | None:
    """What a checkpoint keeps of a dataset; nothing of a stream, of which only its address is known.

    Args:
        dataset: of the reals.
        source: digest of the dataset of an unpaired translation's sources.
    """
    digest = f"{dataset.digest} of {source}" if source else dataset.digest
    return {"digest": digest, "samples": len(dataset)} if len(dataset) else None


def _described(saved: Mapping[str, Any] | None) -> str:
    if saved is None:
        return "a stream"
    return f"{counted(int(saved.get('samples', 0)), 'sample')} (digest {str(saved.get('digest'))[:12]})"


def moved_learning_rates(run: Run, checkpoint: Checkpoint) -> list[str]:
    """Where the learning rates jump because the run got another end, on which a decay depends; a line a player."""
    before = dict(flat(dict(_recipe_of(checkpoint)))).get("training.steps")
    steps, step = run.recipe.training.steps, checkpoint.state["step"]
    lines = []
    for role in ("generator", "discriminator"):
        table = getattr(run.recipe.optimizer, role)
        if table.decay == "none" or before == steps or not isinstance(before, int):
            continue
        own = getattr(table, "lr", None)
        was, now = (
            learning_rate_factor(table.warmup, table.decay, end, table.constant)(step)
            * run.learning_rate_scale
            * (own or 1.0)
            for end in (before, steps)
        )
        lines.append(
            f"the {role}'s learning rate: {was:.3g} -> {now:.3g}{'' if own else ' of its own'}, since its "
            f"{table.decay} decay ends at step {steps:,} and not at {before:,}"
        )
    return lines


def _recipe_of(checkpoint: Checkpoint) -> Mapping[str, Any]:
    """Its tables; format 1 has no sha256 that would show damage before.

    Raises:
        DamagedCheckpointError: it is not a recipe.
    """
    try:
        return tables_of(checkpoint.text(RECIPE))
    except ValueError as error:
        raise DamagedCheckpointError(checkpoint.path, f"its recipe is damaged: {error}") from error


def _show(value: Any) -> str:
    return "nothing" if value is None else without_credentials(repr(value))
