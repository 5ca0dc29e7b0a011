"""What a checkpoint holds of a run, named once: saving and restoring both walk these tables.

The networks are saved separately, as safetensors; what is here goes into `training.pt` (the same on every rank),
`rank-N.pt` (of one rank alone) and `checkpoint.json` (plain values).
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ganforge.errors import CheckpointError, DataError
from ganforge.game.randomness import random_states, restore_random_states
from ganforge.metrics.best import Best
from ganforge.training.run import Run


@dataclass(frozen=True)
class SavedPart:
    """One entry of a checkpoint.

    Args:
        key: its name there.
        save: what is written.
        load: restores it.
        is_optional: checkpoints of earlier versions may lack it.
    """

    key: str
    save: Callable[[], Any]
    load: Callable[[Any], None]
    is_optional: bool = False


def shared_parts(run: Run) -> Sequence[SavedPart]:
    """The same on every rank: optimizers, scalers, and what penalties, schedule and augmentations remember."""
    return (
        *(SavedPart(player.role, player.state_dict, player.load_state_dict) for player in run.players),
        SavedPart("game", run.adaptive_state, run.load_adaptive_state),
    )


def rank_parts(run: Run) -> Sequence[SavedPart]:
    """What only this rank has. Random states come last, since loading the others may draw."""
    return (
        SavedPart("shards", lambda: _shards(run), lambda shards: _load_shards(run, shards)),
        SavedPart("meters", run.meters.state_dict, run.meters.load_state_dict),
        SavedPart("game", run.adaptive_state, run.load_adaptive_state),
        *(
            SavedPart(f"pool.{index}", pool.state_dict, pool.load_state_dict, is_optional=True)
            for index, pool in enumerate(run.game.pools)
        ),
        SavedPart("statistics", run.statistics.state_dict, run.statistics.load_state_dict, is_optional=True),
        SavedPart("random", random_states, restore_random_states),
    )


def plain_parts(run: Run) -> Sequence[SavedPart]:
    """How far the run has come."""
    progress = run.progress
    return (
        *(_attribute(progress, name) for name in ("step", "images", "rollbacks")),
        SavedPart("data", run.loader.state_dict, lambda saved: _load_position(run, saved)),
        SavedPart(
            "best",
            lambda: asdict(progress.best) if progress.best else None,
            lambda saved: setattr(progress, "best", Best(**saved) if saved else None),
        ),
    )


def save(parts: Sequence[SavedPart]) -> dict[str, Any]:
    """All entries by name."""
    return {part.key: part.save() for part in parts}


def load(parts: Sequence[SavedPart], saved: dict[str, Any]) -> None:
    """Restore every entry, in the order of the table.

    Raises:
        CheckpointError: an entry is missing, or is not what its part takes.
    """
    for part in parts:
        if part.key not in saved and part.is_optional:
            continue
        if part.key not in saved:
            raise CheckpointError(f"it lacks '{part.key}'")
        try:
            part.load(saved[part.key])
        except (AttributeError, DataError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            reason = (str(error).splitlines() or [""])[0]
            raise CheckpointError(f"its '{part.key}' does not fit this run: {reason}") from error


def _attribute(owner: object, name: str) -> SavedPart:
    return SavedPart(name, lambda: getattr(owner, name), lambda value: setattr(owner, name, value))


def _load_position(run: Run, saved: dict[str, Any]) -> None:
    """Where the data goes on, and with it the source, of which a turn takes as much."""
    run.loader.load_state_dict(saved)
    run.game.source.seek(run.loader.position)


def _shards(run: Run) -> dict[str, Any]:
    return {player.role: player.engine.shard() for player in run.players}


def _load_shards(run: Run, shards: dict[str, Any]) -> None:
    for player in run.players:
        player.engine.load_shard(shards[player.role])
