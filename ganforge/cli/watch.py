"""`ganforge watch`."""

from pathlib import Path
from typing import Annotated

import typer

SECONDS, SECONDS_WITH_SLURM = 2.0, 15.0
"""From one look to the next; SLURM's controller is asked less often."""


def watch(
    run: Annotated[Path, typer.Argument(help="Run folder, or a folder with one run in it.", show_default=False)],
    once: Annotated[bool, typer.Option("--once", help="Look once.")] = False,
) -> None:
    """Watch a run that trains elsewhere: figures, curves, samples, the doctor's newest finding, the last sign of life.

    It ends when the run does, or with Ctrl-C, which the run does not hear. Without a terminal it prints the view once,
    and then a line a minute.
    """
    import time

    from rich.console import Console

    from ganforge.report.live import line_of, lines_of, look, only_run
    from ganforge.telemetry.progress import BETWEEN_LINES, is_drawn_on

    folder = only_run(run)
    view = look(folder)
    console = Console(highlight=False)
    if once or view.has_ended:
        typer.echo("\n".join(lines_of(view)))
        return
    pause = SECONDS_WITH_SLURM if view.status.job else SECONDS
    try:
        if is_drawn_on(console):
            _draw(console, folder, pause)
            return
        typer.echo("\n".join(lines_of(view)))
        told = time.monotonic()
        while not view.has_ended:
            time.sleep(pause)
            view = look(folder)
            if view.has_ended or time.monotonic() > told + BETWEEN_LINES:
                told = time.monotonic()
                typer.echo(line_of(view))
    except KeyboardInterrupt:
        return


def _draw(console: object, folder: Path, pause: float) -> None:
    """Redraw the view in place until the run has ended."""
    import time

    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from ganforge.report.live import lines_of, look

    assert isinstance(console, Console)
    view = look(folder)
    with Live(console=console, auto_refresh=False) as live:
        while True:
            live.update(Text("\n".join(lines_of(view)), overflow="fold"), refresh=True)
            if view.has_ended:
                return
            time.sleep(pause)
            view = look(folder)
