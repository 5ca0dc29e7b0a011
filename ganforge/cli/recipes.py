"""`ganforge recipe check` and `ganforge recipe resolve`."""

from pathlib import Path
from typing import Annotated

import typer

from ganforge.cli.flags import with_flags
from ganforge.cli.trust import Trust

Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="PATH=VALUE", help="Override a key, as in --set generator.width=128; may be repeated."
    ),
]

app = typer.Typer(help="Check and resolve recipes.", no_args_is_help=True)


@app.command()
def check(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Recipe files.", show_default=False)],
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
    file: Annotated[Path, typer.Argument(help="Recipe file.", show_default=False)],
    overrides: Overrides = None,
    trust: Trust = False,
) -> None:
    """Print the recipe as TOML with every default filled in.

    Comments name the options that are not set, since TOML has no null.
    """
    from ganforge.recipe import dump_for_people, load

    typer.echo(dump_for_people(load(file, overrides or [], is_own=False)), nl=False)
