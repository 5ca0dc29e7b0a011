"""`ganforge status`: how runs are doing, on this machine or in SLURM's queue."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ganforge.cluster.status import RunStatus


def status(
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Run folders, or folders of them; runs by default.", show_default=False)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print a list of objects instead.")] = False,
) -> None:
    """Say of each run how far it is, how fast, when it was last saved, how good, and whether something is wrong."""
    import json as json_format

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from ganforge.cluster.status import find_runs, statuses

    found = statuses(find_runs(runs or [Path("runs")]))
    if json:
        typer.echo(json_format.dumps([run.to_dict() for run in found], indent=2))
        return
    table = Table("run", "steps", "images/s", "last checkpoint", "best", "finding", "job", box=None, padding=(0, 2))
    for run in found:
        table.add_row(*(escape(cell) for cell in _cells(run)))
    console = Console(highlight=False)
    if not console.is_terminal:  # a file or a pipe has no width that rows would have to be folded to
        console = Console(highlight=False, width=240)
    console.print(table)


def _cells(run: "RunStatus") -> list[str]:
    steps = f"{run.step:,}" if run.steps is None else f"{run.step:,} of {run.steps:,} ({run.step / run.steps:.0%})"
    best = "-" if run.best is None else f"{run.best['name']} {run.best['value']:.4g} at {run.best['step']:,}"
    saved = "-" if run.checkpoint_age_seconds is None else f"{_age(run.checkpoint_age_seconds)} ago"
    speed = "-" if run.images_per_second is None else f"{run.images_per_second:,.0f}"
    finding = "-"
    if run.finding is not None:
        message = run.finding.get("message") or run.finding.get("name") or ""
        finding = f"step {run.finding.get('step', '?')}: {message}"
    job = "-" if run.job is None else f"{run.job} {run.job_state}"
    return [run.folder, steps, speed, saved, best, finding, job]


def _age(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
