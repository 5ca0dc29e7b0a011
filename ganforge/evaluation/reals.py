"""The real samples that something is compared with, as people name them."""

from pathlib import Path
from typing import Any

from ganforge.data.picture_folder import PictureFolder
from ganforge.data.shards.manifest import FILE_NAME
from ganforge.recipe import load
from ganforge.recipe_names import names_recipe
from ganforge.registry import register


def find_reals(named: str) -> dict[str, Any] | PictureFolder:
    """The `[data]` table of a dataset's name, a packed dataset or a recipe; or a folder of pictures as it is.

    Args:
        named: a dataset's name, or where it lies.

    Raises:
        RecipeError: a recipe file is wrong.
        DataError: a folder holds neither shards nor pictures.
    """
    path = Path(named).expanduser()
    if path.suffix == ".toml" or names_recipe(named):
        return load(path).to_dict()["data"]
    if path.is_dir() and not (path / FILE_NAME).is_file() and not any(path.glob("*.tar")):
        return PictureFolder(path)
    if not path.exists() and named in register.dataset.names():
        return {"name": named}
    return {"name": "shards", "path": named}


def recipe_without_run() -> dict[str, Any]:
    """A recipe of which only `[data]` and `[evaluation]` will be looked at."""
    mlp = {"name": "mlp"}
    return {
        "name": "evaluate",
        "data": {"name": "digits"},
        "generator": mlp,
        "discriminator": mlp,
        "training": {"steps": 1},
    }
