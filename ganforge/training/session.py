"""One process's part in a training session: build or restore the run, train, leave the folder in order."""

from contextlib import ExitStack
from pathlib import Path

import torch
from rich.console import Console

from ganforge.files import write_text
from ganforge.parallel.heartbeat import lost_hosts_noticed
from ganforge.parallel.launch import is_first_rank
from ganforge.parallel.lost_ranks import lost_ranks_named
from ganforge.parallel.signals import nothing_trained_yet
from ganforge.recipe import Recipe, dump
from ganforge.run_folder.disk import disk_trouble_told
from ganforge.run_folder.folder_lock import FolderLock
from ganforge.telemetry.progress import ProgressDisplay
from ganforge.telemetry.tracking import Tracking
from ganforge.training.loop import Report, train
from ganforge.training.run import Run
from ganforge.training.saving.opening import Opening, not_writable
from ganforge.training.saving.resume import Resume
from ganforge.wording import counted


def run_session(
    recipe: Recipe,
    *,
    resume: Resume = "auto",
    restart: bool = False,
    allow_changed: bool = False,
    init_from: Path | None = None,
    init_what_fits: bool = False,
    report: Report | None = None,
) -> int:
    """Train a recipe in its run folder, from the start or from its newest checkpoint.

    Args:
        recipe: resolved.
        resume: `auto` resumes if the run folder has a checkpoint, `must` fails without one, `never` fails with one.
        restart: start from scratch, and move the contents of the run folder aside.
        allow_changed: resume even if the recipe has changed in a way that alters training, or the dataset has changed.
        init_from: a run folder, checkpoint or generator file whose weights a new run starts from; a run that is being
            resumed has its own.
        init_what_fits: take only those of these weights that fit.
        report: called after every evaluation on every rank; the run ends if it says so on all of them.

    Returns:
        the exit code: 0 finished, 85 saved and to be started again, 130 saved after Ctrl-C.

    Raises:
        GanforgeError: an error that the user can fix.
    """
    lock = FolderLock(recipe.folder, Console(stderr=True).print)
    opening = Opening(recipe, lock, resume=resume, restart=restart, allow_changed=allow_changed)
    with ExitStack() as leaving, disk_trouble_told(recipe.folder), nothing_trained_yet():
        leaving.callback(lock.release)
        if is_first_rank():  # what the others see of a shared folder may be slightly stale
            opening.look()
        run = Run.build(recipe)
        leaving.callback(run.close)
        is_main = run.accelerator.is_main_process
        if is_main:
            opening.take()
        with lost_ranks_named(run.accelerator.process_index):
            origin = opening.begin(run, init_from, init_what_fits)
        leaving.enter_context(lost_hosts_noticed(run.accelerator.process_index, run.accelerator.num_processes))
        display = ProgressDisplay(
            Console() if is_main else None,
            start=run.images,
            total=run.images + (recipe.training.steps - run.step) * recipe.training.batch_size,
        )
        tracking = None
        try:
            if is_main:
                _write_recipe(recipe)
                tracking = Tracking(recipe, run.step, display.cannot_write)
            for line in [*_opening(run), *origin]:
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


def _write_recipe(recipe: Recipe) -> None:
    try:
        write_text(recipe.files.recipe, dump(recipe))
    except OSError as error:
        raise not_writable(recipe.folder, error) from error


def _opening(run: Run) -> list[str]:
    accelerator = run.accelerator
    processes = counted(accelerator.num_processes, "process", "processes")
    return [
        f"{run.recipe.name}: {processes} on {accelerator.device.type}, "
        f"precision {run.generator.engine.precision}, {len(run.dataset):,} samples of {run.dataset.spec}",
        run.loader.describe(),
        *run.describe_performance(),
    ]


def _closing(run: Run, exit_code: int) -> list[str]:
    folder, best = run.folder, run.progress.best
    if exit_code:
        return [f"stopped at step {run.step:,}; everything is saved in {folder}; the same command resumes"]
    lines = []
    if unreadable := run.loader.unreadable():
        lines.append(
            f"warning: {counted(len(unreadable), 'sample')} could not be read and others took their place; the first, "
            f"{unreadable[0]}; `ganforge data verify` names them all"
        )
    if best is not None:
        lines.append(f"best {best.name} {best.value:.4g} at step {best.step:,}")
    lines.append(f"generator: {run.files.generator('best' if best else 'last')}")
    lines.append(f"picture:   {run.files.sample_grid(run.step)}")
    return lines


def finish_processes() -> None:
    """Leave the process group, so that no rank warns about it at exit."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
