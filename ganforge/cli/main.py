"""The command line. Arguments and printing only; what a command does is imported when it runs."""

import sys
from typing import Annotated, NoReturn

import typer

from ganforge import __version__
from ganforge.cli import (
    components,
    doctor,
    evaluation,
    export,
    films,
    recipes,
    report,
    sampling,
    search,
    sweep,
    training,
)
from ganforge.cli.bench import app as bench_app
from ganforge.cli.data import app as data_app
from ganforge.cli.slurm import slurm
from ganforge.cli.status import status
from ganforge.errors import GanforgeError

app = typer.Typer(
    name="ganforge",
    help="Train GANs from one TOML recipe: on a laptop, on one GPU, on a cluster.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("train")(training.train)
app.command("sweep")(sweep.sweep)
app.command("evaluate")(evaluation.evaluate)
app.command("sample")(sampling.sample)
app.command("interpolate")(films.interpolate)
app.command("evolve")(films.evolve)
app.command("neighbours")(films.neighbours)
app.command("inpaint")(search.inpaint)
app.command("project")(search.project)
app.command("export")(export.export)
app.command("doctor")(doctor.doctor)
app.command("report")(report.report)
app.command("list")(components.list_components)
app.command("show")(components.show)
app.command("slurm")(slurm)
app.command("status")(status)
app.add_typer(recipes.app, name="recipe")
app.add_typer(data_app, name="data")
app.add_typer(bench_app, name="bench")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ganforge {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show the traceback of an error; may stand anywhere.")
    ] = False,
) -> None:
    """Options of every command."""


def main() -> NoReturn:
    """Run the command line; a user's mistake is one or two lines on stderr and exit code 2."""
    # --verbose is taken out here, because people write it behind the command, where only the command's options go.
    arguments = [argument for argument in sys.argv[1:] if argument != "--verbose"]
    try:
        app(arguments, prog_name="ganforge")  # one name, also under `python -m ganforge`: usage and completion need it
    except GanforgeError as error:
        if len(arguments) < len(sys.argv) - 1:
            raise
        typer.echo(f"ganforge: {error}", err=True)
        sys.exit(2)
    raise AssertionError("typer leaves by SystemExit")
