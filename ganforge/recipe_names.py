"""Recipes that come with ganforge, found by name from any folder.

The wheel holds the repository's `recipes/` as `ganforge/recipes/` (pyproject.toml maps it, so there is one source);
in a checkout, which an editable install is, they are where people edit them.
"""

import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from ganforge.errors import Problem, RecipeError
from ganforge.wording import did_you_mean

SUFFIX = ".toml"
PACKAGE = Path(__file__).parent


@cache
def recipes() -> Mapping[str, Path]:
    """The files of all recipes that come with ganforge, by name."""
    installed = PACKAGE / "recipes"
    folder = installed if installed.is_dir() else PACKAGE.parent / "recipes"
    return {path.stem: path for path in sorted(folder.glob(f"*{SUFFIX}"), key=lambda path: path.stem)}


def find(named: str | Path) -> Path:
    """The file of a recipe: a path as it is, or what a name such as `digits32` stands for.

    A folder is not a recipe: a run's folder may be called like its recipe and lie in the working directory.

    Raises:
        RecipeError: there is neither a file nor a recipe of that name, or it may mean two files.
    """
    path = Path(named)
    exists = os.path.exists(path)  # unlike pathlib's, it raises nothing: opening says what is wrong
    if exists and not path.is_dir():
        return path
    if not exists and path.suffix == SUFFIX and path.stem in recipes():
        detail = f"there is no such file; the recipe that comes with ganforge is called {path.stem}, without {SUFFIX}"
        raise RecipeError(str(named), [Problem("", detail)])
    if not is_name(named):
        return path
    own = recipes().get(str(named))
    if own is None:
        if exists:
            return path
        near = did_you_mean(str(named), recipes())
        detail = f"there is no such file, and no recipe of that name{near}; `ganforge recipe list` names all"
        raise RecipeError(str(named), [Problem("", detail)])
    here = Path(f"{named}{SUFFIX}")
    if here.exists() and not here.samefile(own):  # neither is taken unasked: a recipe may import plugins
        detail = f"may be {here} of this folder or the recipe that comes with ganforge; write {here}, or rename it"
        raise RecipeError(str(named), [Problem("", detail)])
    return own


def names_recipe(named: str) -> bool:
    """Whether it names a recipe that comes with ganforge, and nothing that is in the working directory."""
    return named in recipes() and not os.path.exists(named)


def is_name(named: str | Path) -> bool:
    """Whether it has the form of a name: one word without folder and ending."""
    return re.fullmatch(r"\w[\w-]*", str(named)) is not None


def summaries() -> dict[str, str]:
    """What each recipe is that comes with ganforge, by name."""
    return {name: summary(path) for name, path in recipes().items()}


def summary(path: Path) -> str:
    """What a recipe is: the first sentence of its header, up to a colon."""
    lines = path.read_text(encoding="utf-8").splitlines()
    header = lines[: next((number for number, line in enumerate(lines) if not line.startswith("# ")), len(lines))]
    text = " ".join(line.removeprefix("# ").strip() for line in header)
    return re.split(r"(?<=[\w)`]{2})[.:](?= [A-Z]|$)|: ", text, maxsplit=1)[0]
