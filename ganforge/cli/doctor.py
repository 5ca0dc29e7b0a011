"""`ganforge doctor`."""

from pathlib import Path
from typing import Annotated

import typer


def doctor(
    run: Annotated[Path, typer.Argument(help="Run folder, of a finished or a running training.", show_default=False)],
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 1 if an illness has not ended.")] = False,
) -> None:
    """Say what went wrong in a run between generator and discriminator, with the figures, and what helps."""
    from ganforge.doctor.diagnosis import diagnose

    diagnosis = diagnose(run)
    for line in diagnosis.lines():
        typer.echo(line)
    if strict and diagnosis.is_ill:
        raise typer.Exit(1)
