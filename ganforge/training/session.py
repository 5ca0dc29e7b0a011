"""One process's part in a training session: build or restore the run, train, leave the folder in order."""

import os
from contextlib import ExitStack
from pathlib import Path

import torch
from rich.console import Console

from ganforge.errors import GanforgeError
from ganforge.files import write_text
from ganforge.parallel.heartbeat import lost_hosts_noticed
from ganforge.parallel.lost_ranks import lost_ranks_named
from ganforge.recipe import Recipe, dump
from ganforge.saved.checkpoint import Checkpoint, newest_checkpoint, torn_checkpoints
from ganforge.training.loop import Report, train
from ganforge.training.run import Run
from ganforge.training.saving.restore import restore, restore_weights
from ganforge.training.saving.resume import Resume, check_same_run, find_checkpoint
from ganforge.training.saving.shared_folder import agree_on_checkpoint
from ganforge.training.telemetry.progress import ProgressDisplay
from ganforge.training.telemetry.tracking import Tracking
from ganforge.wording import counted


def run_session(
    recipe: Recipe,
    *,
    resume: Resume = "auto",
    allow_changed: bool = False,
    init_from: Path | None = None,
    report: Report | None = None,
) -> int:
    """Train a recipe in its run folder, from the start or from its newest checkpoint.

    Args:
        recipe: resolved.
        resume: `auto` goes on if the run folder has a checkpoint, `must` fails without one, `never` fails with one.
        allow_changed: go on even under a recipe that makes it another run.
        init_from: a run folder whose weights a new run starts from; a run that is being resumed has its own.
        report: told of every evaluation on every rank; where it says so on all of them, the run ends there.

    Returns:
        the exit code: 0 finished, 85 saved and to be started again, 130 saved after Ctrl-C.

    Raises:
        GanforgeError: whatever the user can mend.
    """
    # The first rank judges; what the others see of a shared folder may be a little old.
    is_first = os.environ.get("RANK", "0") == "0"
    checkpoint = find_checkpoint(recipe.folder, resume if is_first else "auto")
    changes = check_same_run(recipe, checkpoint, allow_changed) if checkpoint and is_first else []
    run = Run.build(recipe)
    is_main = run.accelerator.is_main_process
    console = Console() if is_main else None
    with ExitStack() as leaving:
        leaving.callback(run.loader.close)
        if is_main:
            _prepare_folder(recipe)
        with lost_ranks_named(run.accelerator.process_index):
            checkpoint = agree_on_checkpoint(run.accelerator, recipe.folder, checkpoint)
        leaving.enter_context(lost_hosts_noticed(run.accelerator.process_index, run.accelerator.num_processes))
        if checkpoint is not None:
            restore(run, checkpoint)
        elif init_from is not None:
            restore_weights(run, newest_checkpoint(init_from))
        display = ProgressDisplay(
            console,
            start=run.images,
            total=run.images + (recipe.training.steps - run.step) * recipe.training.batch_size,
        )
        tracking = Tracking(recipe, run.step) if is_main else None
        try:
            for line in [*_opening(run), *_origin(run, checkpoint, changes, init_from)]:
                display.say(line)
            with lost_ranks_named(run.accelerator.process_index):
                exit_code = train(run, tracking, display, report)
        finally:
            display.close()
            if tracking is not None:
                tracking.close()
        for line in _closing(run, exit_code):
            display.say(line)
        run.accelerator.wait_for_everyone()  # a launcher counts from the first exit, and trackers may still upload
        return exit_code


def _prepare_folder(recipe: Recipe) -> None:
    try:
        recipe.folder.mkdir(parents=True, exist_ok=True)
        write_text(recipe.folder / "recipe.resolved.toml", dump(recipe))
    except OSError as error:
        raise GanforgeError(
            f"{recipe.folder}: cannot be written: {error.strerror}; set another with --set output=..."
        ) from error


def _opening(run: Run) -> list[str]:
    accelerator = run.accelerator
    processes = counted(accelerator.num_processes, "process", "processes")
    return [
        f"{run.recipe.name}: {processes} on {accelerator.device.type}, "
        f"precision {run.generator.engine.precision}, {len(run.dataset):,} samples of {run.dataset.spec}",
        run.loader.describe(),
        *run.describe_performance(),
    ]


def _origin(run: Run, checkpoint: Checkpoint | None, changes: list[str], init_from: Path | None) -> list[str]:
    """Where the run goes on from, and what is different from before."""
    if checkpoint is None:
        return [f"weights from {init_from}"] if init_from is not None else []
    lines = [f"resumed from {checkpoint.path} at step {run.step:,}"]
    lines.extend(
        f"  passed over {path.name}: not written to the end" for path in torn_checkpoints(checkpoint.path.parent)
    )
    before, now = checkpoint.state["world_size"], run.accelerator.num_processes
    if before != now:
        lines.append(f"  {before} processes then, {now} now: the same batches; equal to rounding, not bit for bit")
    lines.extend(f"  changed: {change}" for change in changes)
    if run.step >= (steps := run.recipe.training.steps):
        lines.append(f"  nothing is left of its {steps:,} steps; to train on: --set training.steps={2 * run.step}")
    return lines


def _closing(run: Run, exit_code: int) -> list[str]:
    folder, best = run.folder, run.progress.best
    if exit_code:
        return [f"stopped at step {run.step:,}; everything is saved in {folder}, the same command goes on"]
    lines = []
    if unreadable := run.loader.unreadable():
        lines.append(
            f"warning: {counted(len(unreadable), 'sample')} could not be read and others stood in; the first, "
            f"{unreadable[0]}; `ganforge data verify` names them all"
        )
    if best is not None:
        lines.append(f"best {best.name} {best.value:.4g} at step {best.step:,}")
    lines.append(f"generator: {folder / ('generator.best.safetensors' if best else 'generator.last.safetensors')}")
    lines.append(f"picture:   {folder / 'samples' / f'step-{run.step:08d}.png'}")
    return lines


def finish_processes() -> None:
    """Leave the process group, so that no rank warns about it at exit."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
