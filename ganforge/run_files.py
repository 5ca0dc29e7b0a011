"""What a run folder says of its run, read in whatever state its files are."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from ganforge.errors import GanforgeError
from ganforge.toml_files import LARGEST, decoded, read_toml

RECIPE = "recipe.resolved.toml"


def read_recipe(folder: Path) -> Mapping[str, Any]:
    """The tables of a run's resolved recipe; nobody has checked them.

    Raises:
        GanforgeError: the folder is no run folder, or the file cannot be read.
    """
    path = folder / RECIPE
    try:
        if path.is_file():
            return read_toml(path)
    except OSError as error:
        raise GanforgeError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        copies = "; the newest folder of its checkpoints has a copy"
        raise GanforgeError(f"{path}: {error}{copies}") from error
    raise GanforgeError(f"{folder}: is not a run folder (it has no {RECIPE}); name one, such as runs/digits32")


def recipe_text(folder: Path) -> str:
    """The resolved recipe as it stands in its file, which `read_recipe` has read."""
    with (folder / RECIPE).open("rb") as file:
        return decoded(file.read(LARGEST))


def checkpoint_states(folder: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """What the checkpoints of a run say of themselves, the newest first; one that says nothing is passed over."""
    for _, checkpoint in sorted(numbered(folder / "checkpoints", "step-*").items(), reverse=True):
        path = checkpoint / "checkpoint.json"
        try:
            if path.is_file() and path.stat().st_size <= LARGEST:
                state = from_json(path.read_bytes())
                if isinstance(state, dict):
                    yield path, state
        except (OSError, ValueError):
            continue


def numbered(folder: Path, pattern: str) -> dict[int, Path]:
    """Files or folders such as `step-00000500.png` by their number; what is called otherwise is not ours."""
    found = {}
    for path in sorted(folder.glob(pattern)):
        digits = re.fullmatch(r"step-([0-9]{1,18})(\.[a-z]+)?", path.name)
        if digits is not None:
            found[int(digits[1])] = path
    return found
