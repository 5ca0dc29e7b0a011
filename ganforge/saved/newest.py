"""Finding the newest checkpoint that can be used, and what is wrong with newer ones."""

import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from ganforge.errors import CheckpointError, DamagedCheckpointError
from ganforge.run_files import CheckpointFolder, RunFolder
from ganforge.saved.checkpoint import Checkpoint, candidates, step_of

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """Result of a search for the newest checkpoint that can be used.

    Args:
        checkpoint: the newest that can be used, or None.
        passed_over: newer ones that cannot, each with its reason.
    """

    checkpoint: Checkpoint | None
    passed_over: tuple[DamagedCheckpointError, ...] = ()


def find_usable(
    folder: Path, names: Collection[str] | None = None, before: int | None = None, nothing: Found | None = None
) -> Found:
    """The newest checkpoint that is what was written.

    Args:
        folder: the run's `checkpoints` folder.
        names: files that have to be intact; by default all.
        before: only checkpoints of earlier steps than this.
        nothing: result of an earlier search that found none; its list is continued.
    """
    passed = [] if nothing is None else [*nothing.passed_over]
    for path in _newest_first(folder, before):
        try:
            checkpoint = Checkpoint(path)
            checkpoint.check(names)
        except DamagedCheckpointError as error:
            passed.append(error)
        else:
            return Found(checkpoint, tuple(passed))
    return Found(None, tuple(passed))


def _newest_first(folder: Path, before: int | None) -> Iterator[Path]:
    for path in reversed(candidates(folder)):
        if before is None or (step_of(path) or 0) < before:
            yield path


def newest_checkpoint(folder: Path, names: Collection[str] | None = None) -> Checkpoint:
    """The newest checkpoint of a run folder that can be used, or the checkpoint itself if `folder` is one.

    Args:
        folder: of a run, or a checkpoint.
        names: files that will be looked at; by default all.

    Raises:
        CheckpointError: there is none.
    """
    if CheckpointFolder(folder).state.is_file():
        checkpoint = Checkpoint(folder)
        checkpoint.check(names)
        return checkpoint
    found = find_usable(RunFolder(folder).checkpoints, names)
    if found.checkpoint is None:
        reason = "".join(f"; {error.path.name}: {error.reason}" for error in found.passed_over[:1])
        raise CheckpointError(f"{folder}: has no whole checkpoint{reason}")
    for error in found.passed_over:
        _log.warning("passed over %s; %s is used instead", error, found.checkpoint.path.name)
    return found.checkpoint
