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
    serve: Annotated[
        bool, typer.Option("--serve", help="Write no file, but show the page to this machine and keep it up to date.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port of --serve; 0 for any that is free.")] = 8000,
) -> None:
    """Write one HTML page about runs: curves, samples over time, metrics, findings, recipe. It needs no network.

    With --serve the page looks again by itself while a run goes on, until Ctrl-C.
    """
    if serve:
        from ganforge.report.serve import serve as serve_page

        serve_page(runs, port, most_pictures=pictures, say=typer.echo)
        return
    from ganforge.report.page import write_report

    typer.echo(write_report(runs, out, most_pictures=pictures))
