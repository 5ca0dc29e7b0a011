"""Going back to a checkpoint: at the start of a session, or after a divergence. All ranks together."""

from ganforge.run_folder.shared_folder import agree_on_checkpoint
from ganforge.saved.checkpoint_writer import set_aside
from ganforge.saved.newest import Found
from ganforge.training.run import Run
from ganforge.training.saving.finite import why_unusable
from ganforge.training.saving.restore import files_of_rank, restore


def choose_checkpoint(run: Run, found: Found) -> Found:
    """The newest checkpoint that every rank can use: what was written, with weights that are finite.

    Args:
        run: built.
        found: what rank 0 has found; that of other ranks is not looked at.
    """
    rank = run.accelerator.process_index
    return agree_on_checkpoint(
        run.accelerator,
        run.folder,
        found,
        lambda checkpoint: why_unusable(run, checkpoint, files_of_rank(checkpoint, rank)),
    )


def go_back(run: Run, chosen: Found) -> list[str]:
    """Restore the run, and clear its newer checkpoints out of the way: they are of a course that it did not take.

    Returns:
        what was passed over, a line each, for people; known on rank 0 only.
    """
    assert chosen.checkpoint is not None
    restore(run, chosen.checkpoint)
    if not run.accelerator.is_main_process:
        return []
    lines = []
    for error in chosen.passed_over:
        aside = set_aside(error.path)
        lines.append(f"passed over {error.path.name}: {error.reason}; it is now {aside.name}")
    return lines
