"""A checkpoint's way back into a run."""

from ganforge.errors import CheckpointError
from ganforge.game.randomness import seed_everything
from ganforge.saved.checkpoint import Checkpoint
from ganforge.training.run import Run
from ganforge.training.saving.parts import load, plain_parts, rank_parts, shared_parts


def restore(run: Run, checkpoint: Checkpoint) -> None:
    """Put everything back as it was at the end of the checkpoint's step.

    Raises:
        CheckpointError: a part is damaged, or does not fit the recipe's networks.
    """
    _check_layouts(run, checkpoint)
    restore_weights(run, checkpoint)
    load(shared_parts(run), checkpoint.plain("training"))
    load(plain_parts(run), {"loader": checkpoint.state, **checkpoint.state})  # of old the loader counted batches
    rank = run.accelerator.process_index
    own = checkpoint.rank(rank)
    if own is not None and checkpoint.state["world_size"] == run.accelerator.num_processes:
        load(rank_parts(run), own)
    else:
        seed_everything(run.recipe.seed, f"rank {rank} from step {run.step}")


def _check_layouts(run: Run, checkpoint: Checkpoint) -> None:
    """Optimizer states lie on the ranks as they did, or were whole on each.

    Raises:
        CheckpointError: they are sharded in another way than this run would.
    """
    for player in run.players:
        before, now = checkpoint.state["layouts"][player.role], player.engine.layout
        if before != now:
            raise CheckpointError(
                f"{checkpoint.path}: the {player.role}'s optimizer state was saved as '{before}', this run keeps it "
                f"as '{now}'; start it as it was started, or begin a new run with --init-from"
            )


def restore_weights(run: Run, checkpoint: Checkpoint) -> None:
    """Both networks and the averaged generator, and nothing else: what `--init-from` takes.

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
