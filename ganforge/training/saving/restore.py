"""A checkpoint's way back into a run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ganforge.arguments import argument
from ganforge.errors import CheckpointError
from ganforge.game.randomness import seed_everything
from ganforge.run_files import RECIPE, CheckpointFolder, is_rank_file, rank_file
from ganforge.saved.checkpoint import Checkpoint
from ganforge.toml_files import tables_of
from ganforge.training.run import Run
from ganforge.training.saving.parts import SavedPart, load, plain_parts, rank_parts, shared_parts


def restore(run: Run, checkpoint: Checkpoint) -> None:
    """Put everything back as it was at the end of the checkpoint's step.

    Raises:
        CheckpointError: a part is damaged, or does not fit the recipe's networks.
    """
    _check_layouts(run, checkpoint)
    restore_weights(run, checkpoint)
    files = CheckpointFolder(checkpoint.path)
    _load(files.training, shared_parts(run), checkpoint.plain("training"))
    _load(files.state, plain_parts(run), _plain_state(checkpoint))
    rank = run.accelerator.process_index
    own = checkpoint.rank(rank)
    if own is not None and checkpoint.state.get("world_size") == run.accelerator.num_processes:
        _load(checkpoint.path / rank_file(rank), rank_parts(run), own)
    else:
        seed_everything(run.recipe.seed, f"rank {rank} from step {run.step}")


def files_of_rank(checkpoint: Checkpoint, rank: int) -> list[str]:
    """What `restore` reads on this rank: all on the first, which answers for the others' parts as well."""
    return [name for name in checkpoint.files if rank == 0 or not is_rank_file(name) or name == rank_file(rank)]


def _load(path: Path, parts: Sequence[SavedPart], saved: dict[str, Any]) -> None:
    try:
        load(parts, saved)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _plain_state(checkpoint: Checkpoint) -> dict[str, Any]:
    """As of today; format 1 counted batches of the size that its recipe has."""
    state = checkpoint.state
    if "data" in state or "batches" not in state:
        return state
    try:
        batch_size = int(tables_of(checkpoint.text(RECIPE))["training"]["batch_size"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{checkpoint.path}: its recipe does not tell its batch size") from error
    return {**state, "data": {"samples": state["batches"] * batch_size}}


def _check_layouts(run: Run, checkpoint: Checkpoint) -> None:
    """Optimizer states lie on the ranks as they did, or were whole on each.

    Raises:
        CheckpointError: they are sharded in another way than this run would.
    """
    for player in run.players:
        before, now = checkpoint.state.get("layouts", {}).get(player.role), player.engine.layout
        if before != now:
            raise CheckpointError(
                f"{checkpoint.path}: the {player.role}'s optimizer state was saved as '{before}', this run keeps it "
                f"as '{now}'; start it as it was started, or begin a new run with {argument('init_from')}"
            )


def restore_weights(run: Run, checkpoint: Checkpoint) -> None:
    """Both networks and the averaged generator, and nothing else.

    Raises:
        CheckpointError: they do not fit the recipe's networks.
    """
    with run.gathered(writes=True):
        for name, network in run.saved_networks().items():
            try:
                network.load_state_dict(checkpoint.tensors(name))
            except RuntimeError as error:
                reason = str(error).splitlines()[1].strip()
                raise CheckpointError(f"{checkpoint.path}: the {name} does not fit the recipe's: {reason}") from error
