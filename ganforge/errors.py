"""Exceptions for errors of a user, which say where, what is wrong, and the remedy.

The command line prints them in one or two lines and exits with code 2; `--verbose` adds the
traceback. `assert` is kept for what only a bug can break.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ganforge.redaction import without_credentials


class GanforgeError(Exception):
    """A mistake or a condition that the user can fix. Its text holds no credentials."""

    def __init__(self, message: str = "") -> None:
        super().__init__(without_credentials(message))


class RegistryError(GanforgeError):
    """A component breaks the registry's contract, or its name is unknown or taken."""


class PluginError(GanforgeError):
    """A plugin module or entry point could not be imported."""


class TrustError(GanforgeError):
    """A file that somebody else may have made would run code or a command, and the user has not allowed it."""


class DataError(GanforgeError):
    """A dataset is missing, damaged, or not what the recipe asks for."""


class CheckpointError(GanforgeError):
    """A checkpoint or saved generator is missing, incomplete, or does not fit."""


class DamagedCheckpointError(CheckpointError):
    """A checkpoint is not what was written; an older one may be usable.

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
    """A loss or a weight is no longer finite."""


class HealthError(GanforgeError):
    """The doctor found an illness that the recipe lists in `doctor.stop_on`."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a recipe: the dotted path of the key and what is wrong with it."""

    path: str
    message: str

    def __str__(self) -> str:
        message = _shortened(self.message, 1000)
        return f"{_shortened(self.path, 200)}: {message}" if self.path else message


def _shortened(text: str, most: int) -> str:
    """A line of a message, whatever a damaged file had for a name."""
    line = " ".join(text.splitlines())
    return line if len(line) <= most else f"{line[: most // 2]} ... {line[-most // 2 :]}"


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
    """Keys of a recipe that are each valid but do not go together; changing another key may fix it."""
