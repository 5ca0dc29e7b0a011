"""A run's way into a checkpoint and back.

What changes while training goes on is copied at the step, all ranks together; the large files are then
written by a thread of the main process while the next steps run. A second checkpoint waits for
the first. Each rank's own part is small and is written at once, so that the thread needs no other rank.
"""

import copy
import platform
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import accelerate
import torch
from accelerate.utils import gather_object
from safetensors import SafetensorError
from torch import Tensor

from ganforge.errors import CheckpointError
from ganforge.recipe import dump
from ganforge.run_files import RECIPE
from ganforge.run_folder.own_folder import OwnFolder
from ganforge.run_folder.shared_folder import wait_for
from ganforge.saved.checkpoint_writer import CheckpointWriter, Written, prune
from ganforge.saved.generator_file import flat_state, save_generator
from ganforge.training.run import Run
from ganforge.training.saving.finite import require_finite_weights, what_is_kept
from ganforge.training.saving.parts import plain_parts, rank_parts, save, shared_parts
from ganforge.training.saving.resume import identity
from ganforge.version import __version__


class Saver:
    """Saves and restores one run.

    Args:
        run: whose state.
        warn: told of a checkpoint that could not be written while training goes on.
    """

    def __init__(self, run: Run, warn: Callable[[str], None]) -> None:
        self._run = run
        self._warn = warn
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._pending: Future[None] | None = None
        self._writer: CheckpointWriter | None = None
        self._step = run.step
        self._folder = OwnFolder(run.folder) if run.accelerator.is_main_process else None

    def save(self, must: bool = False) -> None:
        """Save a checkpoint of this step. All ranks together.

        Args:
            must: wait until it is written, and fail if it cannot be; else a failure is a warning, and training goes
                on towards the next checkpoint.

        Raises:
            CheckpointError: `must`, and it could not be written.
            DivergenceError: a weight is no longer finite.
        """
        run, accelerator = self._run, self._run.accelerator
        self.wait(must=False)
        require_finite_weights(run)
        self._step = run.step
        writer = self._writer = CheckpointWriter(run.files.checkpoints, run.step)
        problem = _attempt(self._stage) if accelerator.is_main_process else ""
        is_fine = self._all_fine(problem)
        parts: list[Written] = []
        if is_fine:
            rank_state = save(rank_parts(run))
            problem = _attempt(lambda: parts.append(writer.write_rank(accelerator.process_index, rank_state)))
            is_fine = self._all_fine(problem)
            if is_fine and accelerator.num_processes > 1:
                parts = gather_object(parts)
            writer.add(parts)
        with run.statistics.for_evaluation(), run.gathered():
            snapshot = self._snapshot() if accelerator.is_main_process and is_fine else ()
        if not is_fine:  # on every rank, whichever it was: none may think that there is a checkpoint
            self._report(problem or "another process could not write its part", must)
            return
        if accelerator.is_main_process:
            self._pending = self._thread.submit(self._write, writer, parts, *snapshot)
        if must:
            self.wait(must=True)

    def wait(self, must: bool = True) -> None:
        """Until the checkpoint under way is written. All ranks together.

        Raises:
            CheckpointError: `must`, and it could not be written.
        """
        problem = ""
        if self._pending is not None:
            problem = _attempt(self._pending.result)
            self._pending = None
        fine = self._all_fine(problem)
        if not fine:
            self._report(problem or "the main process could not write it", must)

    def close(self) -> None:
        self._thread.shutdown()
        if self._folder is not None:
            self._folder.close()

    def _stage(self) -> None:
        assert self._writer is not None
        self.require_folder()
        self._writer.stage()

    def require_folder(self) -> None:
        """Main process: before anything is written into the run folder.

        Raises:
            OSError: it is gone, or another is in its place.
        """
        if self._folder is not None:
            self._folder.require()

    def _report(self, problem: str, must: bool) -> None:
        if self._writer is not None and self._run.accelerator.is_main_process:
            self._writer.discard()
        text = f"the checkpoint of step {self._step:,} could not be written: {problem}; {what_is_kept(self._run)}"
        if must:
            raise CheckpointError(f"{text}. Once that is fixed, the same command resumes")
        self._warn(f"warning: {text}. Training goes on")

    def _all_fine(self, problem: str) -> bool:
        """Whether no rank has a problem; a barrier as well."""
        accelerator = self._run.accelerator
        if accelerator.num_processes == 1:
            return not problem
        count = torch.tensor(1.0 if problem else 0.0, device=accelerator.device)
        return float(accelerator.reduce(count, reduction="sum")) == 0  # type: ignore[arg-type]

    def _snapshot(self) -> tuple[Any, ...]:
        """Copies of everything the thread will write, so that training can go on. Main process only."""
        run = self._run
        networks = {name: flat_state(network) for name, network in run.saved_networks().items()}
        training = _on_cpu(save(shared_parts(run)))
        return networks, training, _plain_state(run), run.generator_config()

    def _write(
        self,
        writer: CheckpointWriter,
        parts: Sequence[Written],
        networks: dict[str, dict[str, Tensor]],
        training: Any,
        plain: Any,
        config: Any,
    ) -> None:
        recipe = self._run.recipe
        for rank, part in enumerate(parts):  # of other nodes, which this one may see late
            path = writer.temporary / part.name
            if not wait_for(path, lambda path, size=part.size: path.stat().st_size == size):
                raise OSError(f"{path} cannot be seen here, but rank {rank} has written it; is the folder shared?")
        writer.write_plain("training", training)  # the largest first: it is hashed while the others are written
        for name, tensors in networks.items():
            writer.write_tensors(name, tensors)
        writer.write_text(RECIPE, dump(recipe))
        writer.commit(plain)
        kept = recipe.checkpoint
        best = plain["best"]["step"] if plain["best"] else None
        prune(writer.folder, keep_last=kept.keep_last, keep_every=kept.keep_every, keep_step=best)
        save_generator(self._run.files.generator("last"), networks["averaged"], config)


def _plain_state(run: Run) -> dict[str, Any]:
    return {
        **save(plain_parts(run)),
        "world_size": run.accelerator.num_processes,
        "layouts": {player.role: player.engine.layout for player in run.players},
        "dataset": identity(run.dataset, run.game.source.digest),
        "versions": {
            "ganforge": __version__,
            "torch": torch.__version__,
            "accelerate": accelerate.__version__,
            "python": platform.python_version(),
        },
    }


def _on_cpu(value: Any) -> Any:
    """A deep copy with every tensor on the CPU and in memory of its own."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _on_cpu(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_on_cpu(item) for item in value)
    return copy.copy(value)


def _attempt(action: Callable[[], object]) -> str:
    """Do it; what the operating system says against it, or nothing."""
    try:
        action()
    except OSError as error:
        return error.strerror or str(error).splitlines()[0]
    except (RuntimeError, SafetensorError) as error:  # they report a full disk, too
        return str(error).splitlines()[0]
    return ""
