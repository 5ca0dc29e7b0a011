"""The command line. Arguments and printing only; what a command does is imported when it runs."""

import io
import sys
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup
from typer.main import get_group

from ganforge.cli import (
    components,
    doctor,
    evaluation,
    export,
    films,
    importing,
    new,
    recipes,
    report,
    sampling,
    search,
    styles,
    sweep,
    training,
    translation,
    watch,
)
from ganforge.cli.bench import app as bench_app
from ganforge.cli.data import app as data_app
from ganforge.cli.flags import named, with_flags
from ganforge.cli.slurm import slurm
from ganforge.cli.status import status
from ganforge.errors import GanforgeError
from ganforge.version import __version__


class Commands(TyperGroup):
    """All commands."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for; a bad value is reported without the parser's own wording."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")
            raise


app = typer.Typer(
    name="ganforge",
    cls=Commands,
    help="Train GANs from one TOML recipe: on a laptop, on one GPU, on a cluster.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain text: paragraphs flow, and two columns leave room for what an option does
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
for name, command in {
    "new": new.new,
    "train": training.train,
    "sweep": sweep.sweep,
    "evaluate": evaluation.evaluate,
    "sample": sampling.sample,
    "interpolate": films.interpolate,
    "evolve": films.evolve,
    "neighbours": films.neighbours,
    "directions": styles.directions,
    "mix": styles.mix,
    "translate": translation.translate,
    "inpaint": search.inpaint,
    "project": search.project,
    "export": export.export,
    "import": importing.import_,
    "doctor": doctor.doctor,
    "report": report.report,
    "list": components.list_components,
    "show": components.show,
    "slurm": slurm,
    "status": status,
    "watch": watch.watch,
}.items():
    first_paragraph = " ".join((command.__doc__ or "").partition("\n\n")[0].split())
    app.command(name, short_help=first_paragraph)(command)  # by itself it would be cut at the end of a line
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
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: a folder's name may be no text at all
    # --verbose is taken out here, because people write it behind the command, where only the command's options go.
    arguments = [argument for argument in sys.argv[1:] if argument != "--verbose"]
    try:
        app(arguments, prog_name="ganforge")  # one name, also under `python -m ganforge`: usage and completion need it
    except GanforgeError as error:
        if len(arguments) < len(sys.argv) - 1:
            raise
        commands = get_group(app)
        message = with_flags(str(error), named(commands, arguments), commands)
        typer.echo(f"ganforge: {message}", err=True)
        sys.exit(2)
    raise AssertionError("typer leaves by SystemExit")
