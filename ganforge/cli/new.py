"""`ganforge new`."""

from pathlib import Path
from typing import Annotated

import typer

from ganforge.cli.data import shown_progress
from ganforge.cli.trust import Trust


def new(
    file: Annotated[
        Path | None,
        typer.Argument(help="Recipe file to be written, by default named after the data.", show_default=False),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            help="The recipe to start from: a file, or a name of `ganforge recipe list`; by default what fits.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="Pictures to train on: a folder, zip, npy or npz, which is packed beside the recipe; or shards.",
            show_default=False,
        ),
    ] = None,
    trust: Trust = False,
) -> None:
    """Write a recipe for your own pictures, fitted to them and to this machine.

    Its comments say each choice and why. With --like it is another recipe with its comments, in which only what follows
    from the data is changed. The networks are made once, to see that they fit. No file that exists is overwritten.
    """
    from ganforge.errors import GanforgeError
    from ganforge.fitting.own import packed
    from ganforge.fitting.write import name_for, write_fitted
    from ganforge.new_recipe import write_recipe
    from ganforge.recipe_names import SUFFIX

    if data is None and like is None:
        raise GanforgeError("name the pictures with --data, or a recipe with --like; `ganforge recipe list` has some")
    if file is None and data is None:
        raise GanforgeError("name the file to be written, such as mine.toml")
    target = file or Path(f"{name_for(data or '')}{SUFFIX}")
    with shown_progress("packing", "pictures") as progress:
        shards = None if data is None else packed(target, data, progress, typer.echo)
    if like is None:
        assert shards is not None
        typer.echo(write_fitted(target, shards))
    else:
        write_recipe(target, like, shards)
        typer.echo(f"{target}: written")
    typer.echo(f"`ganforge train {target}` trains it; with --dry-run it shows what it would do")
