"""`ganforge recipe`: what recipes come along, whether one is right, and what it says in full."""

from pathlib import Path
from typing import Annotated

import typer

from ganforge.cli.flags import with_flags
from ganforge.cli.trust import Trust

RECIPE = "A recipe file, or the name of one that comes along: `ganforge recipe list`."
RecipeFile = Annotated[Path, typer.Argument(help=RECIPE, show_default=False)]

Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="PATH=VALUE", help="Override a key, as in --set generator.width=128; may be repeated."
    ),
]

app = typer.Typer(help="List, check and resolve recipes.", no_args_is_help=True)


@app.command("list")
def list_recipes() -> None:
    """List the recipes that come with ganforge.

    `ganforge train NAME` trains one from any folder.
    """
    from rich.console import Console

    from ganforge.cli.components import print_names
    from ganforge.recipe_names import summaries

    print_names(Console(), "recipes", summaries().items())


@app.command()
def check(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Recipe files or names.", show_default=False)],
    overrides: Overrides = None,
    trust: Trust = False,
) -> None:
    """Report every problem of each file; exit code 2 if there is any."""
    from ganforge.errors import GanforgeError
    from ganforge.recipe import load

    failed = False
    for file in files:
        try:
            load(file, overrides or [], is_own=False)
        except GanforgeError as error:
            failed = True
            typer.echo(with_flags(str(error), context.command), err=True)
        else:
            typer.echo(f"{file}: fine")
    if failed:
        raise typer.Exit(2)


@app.command()
def resolve(
    file: RecipeFile,
    overrides: Overrides = None,
    trust: Trust = False,
) -> None:
    """Print the recipe as TOML with every default filled in.

    Comments name the options that are not set, since TOML has no null.
    """
    from ganforge.recipe import dump_for_people, load

    typer.echo(dump_for_people(load(file, overrides or [], is_own=False)), nl=False)
