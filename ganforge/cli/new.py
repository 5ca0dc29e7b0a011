"""`ganforge new`."""

from pathlib import Path
from typing import Annotated

import typer

from ganforge.cli.training import Data
from ganforge.cli.trust import Trust


def new(
    file: Annotated[Path, typer.Argument(help="Recipe file to be written, such as mine.toml.", show_default=False)],
    like: Annotated[
        str, typer.Option(help="The recipe to start from: a file, or a name of `ganforge recipe list`.")
    ] = "celeba64",
    data: Data = None,
    trust: Trust = False,
) -> None:
    """Write a recipe like another one, with its comments, for your own data.

    With --data, what follows from the data is changed and the comments say why; the networks are made once, to see
    that they fit. A file that exists is not overwritten.
    """
    from ganforge.new_recipe import write_recipe

    write_recipe(file, like, data)
    typer.echo(f"{file}: written; ganforge train {file} --dry-run shows what it would do")
