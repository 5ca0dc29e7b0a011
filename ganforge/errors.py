"""What a user can do wrong, as exceptions that say where, what, and the remedy.

The command line prints them in one or two lines and exits with code 2; `--verbose` adds the
traceback. `assert` is kept for what only a bug can break.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class GanforgeError(Exception):
    """A mistake or a condition that the person at the keyboard can mend."""


class RegistryError(GanforgeError):
    """A component breaks the registry's contract, or its name is unknown or taken."""


class PluginError(GanforgeError):
    """A plugin module or entry point could not be imported."""


class DataError(GanforgeError):
    """A dataset is missing, damaged, or not what the recipe asks for."""


class CheckpointError(GanforgeError):
    """A checkpoint or saved generator is missing, incomplete, or does not fit."""


class DamagedCheckpointError(CheckpointError):
    """A checkpoint is not what was written; an older one may do.

    Args:
        path: of the checkpoint.
        reason: what is wrong with it.
    """

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path}: {reason}")


class LaunchError(GanforgeError):
    """The processes that run are not the processes that were asked for."""


class DivergenceError(GanforgeError):
    """A loss left the finite numbers."""


class HealthError(GanforgeError):
    """The doctor saw an illness on which the recipe wants the run to stop."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a recipe: the dotted path of the key and what is wrong with it."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class RecipeError(GanforgeError):
    """A recipe is wrong in one or more places; carries every problem found.

    Args:
        source: the file the recipe came from, or a word for it.
        problems: all of them.
    """

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{source}: {problem}" for problem in self.problems))


class ContradictionError(RecipeError):
    """Keys of a recipe that are each right and do not go together: another value of another key may mend it."""
