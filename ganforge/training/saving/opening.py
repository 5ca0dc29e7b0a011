"""How a session begins in its run folder: resume, start, or move the contents aside and start over."""

from pathlib import Path

from ganforge.arguments import overriding
from ganforge.errors import GanforgeError
from ganforge.importing.initial import read_initial
from ganforge.recipe import Recipe
from ganforge.run_folder.begun import move_aside, was_restarted_by_this_job
from ganforge.run_folder.folder_lock import FolderLock
from ganforge.saved.checkpoint_writer import put_back, sweep
from ganforge.saved.newest import Found
from ganforge.training.run import Run
from ganforge.training.saving.fine_tuning import carry_over_ada, check_frozen
from ganforge.training.saving.go_back import choose_checkpoint, go_back
from ganforge.training.saving.initial import take_initial
from ganforge.training.saving.resume import (
    Resume,
    check_same_data,
    check_same_run,
    find_checkpoint,
    moved_learning_rates,
    refuse_begun,
)


class Opening:
    """Rank 0's dealings with the run folder before training; the other ranks follow.

    Args:
        recipe: resolved.
        lock: of the run folder.
        resume: what to do about a checkpoint.
        restart: move aside what the folder holds.
        allow_changed: go on under another recipe or dataset.
    """

    def __init__(self, recipe: Recipe, lock: FolderLock, *, resume: Resume, restart: bool, allow_changed: bool) -> None:
        self._recipe, self._lock = recipe, lock
        self._resume: Resume = resume
        self._restart = restart and not was_restarted_by_this_job(recipe.folder)
        self._allow_changed = allow_changed
        self._moved: Path | None = None
        self.found = Found(None)
        """What rank 0 has found to go on from."""

    def look(self) -> None:
        """Rank 0, before anything is built: whether the folder may be used for what is asked.

        Raises:
            GanforgeError: another training runs there, it holds something that would be lost, or another recipe's run.
        """
        if not self._recipe.folder.is_dir():
            if self._resume == "must":
                find_checkpoint(self._recipe, self._resume)
            return
        self._lock.hold()
        if self._restart:
            return
        put_back(self._recipe.files.checkpoints)
        self.found = find_checkpoint(self._recipe, self._resume)
        if self.found.checkpoint is not None:
            check_same_run(self._recipe, self.found.checkpoint, self._allow_changed)

    def take(self) -> None:
        """Rank 0, when everything is built: make the folder, or move aside what it holds.

        Raises:
            GanforgeError: it cannot be written, or somebody else has made and taken it meanwhile.
        """
        folder = self._recipe.folder
        was_there = folder.is_dir()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise not_writable(folder, error) from error
        self._lock.hold()
        if not was_there:
            self.look()  # somebody may have been faster, and ended again
        if self._restart:
            try:
                self._moved = move_aside(folder)
            except OSError as error:
                raise not_writable(folder, error) from error

    def begin(self, run: Run, init_from: Path | None, what_fits: bool) -> list[str]:
        """Put the run where it goes on from. All ranks together.

        Args:
            run: built.
            init_from: where a new run takes its weights from.
            what_fits: of those, take what fits.

        Returns:
            lines for people.
        """
        chosen = choose_checkpoint(run, self.found)
        is_main = run.accelerator.is_main_process
        lines = [f"the previous contents of {run.folder} are now in {self._moved}"] if self._moved is not None else []
        half_written = sweep(run.files.checkpoints) if is_main else []
        if chosen.checkpoint is None:
            if is_main and not self._restart:
                refuse_begun(self._recipe, chosen)
            initial = None if init_from is None else read_initial(init_from)
            check_frozen(run, initial)
            if initial is not None:
                lines += [f"weights from {initial.path}", *take_initial(run, initial, what_fits)]
                lines += carry_over_ada(run, initial)
            return lines
        changes = check_same_run(self._recipe, chosen.checkpoint, self._allow_changed) if is_main else []
        changes += check_same_data(run, chosen.checkpoint, self._allow_changed)
        passed_over = go_back(run, chosen)
        if is_main:
            changes += moved_learning_rates(run, chosen.checkpoint)
        before, now = chosen.checkpoint.state.get("world_size"), run.accelerator.num_processes
        lines += [f"resumed from {chosen.checkpoint.path} at step {run.step:,}", *(f"  {line}" for line in passed_over)]
        lines += [f"  passed over {name}: not written to the end; removed" for name in half_written]
        if before != now:
            lines.append(f"  {before} processes then, {now} now: the same batches; equal to rounding, not bit for bit")
        lines += [f"  changed: {change}" for change in changes]
        if run.step >= (steps := run.recipe.training.steps):
            lines.append(f"  nothing is left of its {steps:,} steps; to train on, set training.steps = {2 * run.step}")
        return lines


def not_writable(folder: Path, error: OSError) -> GanforgeError:
    return GanforgeError(
        f"{folder}: cannot be written: {error.strerror}; fix that, or set another with {overriding('output=...')}"
    )
