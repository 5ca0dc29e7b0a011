"""`ganforge report`."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; several are compared.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The page.")] = Path("report.html"),
    pictures: Annotated[
        int, typer.Option(min=1, help="Most sample grids of a run that the page holds, evenly spaced.")
    ] = 40,
) -> None:
    """Write one HTML page about runs: curves, samples over time, metrics, findings, recipe. It needs no network."""
    from ganforge.report.page import write_report

    typer.echo(write_report(runs, out, most_pictures=pictures))
