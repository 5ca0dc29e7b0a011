"""`ganforge status`: how runs are doing, on this machine or in SLURM's queue."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganforge.wording import ago

if TYPE_CHECKING:
    from rich.console import Console

    from ganforge.cluster.status import RunStatus


def status(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(help="Run folders, or folders of them and of sweeps; runs by default.", show_default=False),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print a list of objects instead.")] = False,
) -> None:
    """Show each run's progress, state, speed and best figure, and whether something is wrong.

    A run is silent if it has not saved its last figures and writes no more: it was killed, or is stuck.
    """
    import json as json_format

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from ganforge.cluster.status import find_runs, statuses

    found = statuses(find_runs(runs or [Path("runs")]))
    if json:
        typer.echo(json_format.dumps([run.to_dict() for run in found], indent=2))
        return
    console = Console(highlight=False, soft_wrap=True)
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("run", "steps", "state", "images/s", "last checkpoint", "best", "finding", "job"):
        table.add_column(name, no_wrap=True)
    for run in found:
        table.add_row(*(escape(cell or "-") for cell in (*_head(run), *_details(run))))
    width = console.measure(table, options=console.options.update(width=10_000)).maximum
    if width <= console.width or not console.is_terminal:  # a file or a pipe has no width to keep to
        Console(highlight=False, width=width).print(table)
    else:
        _print_folded(console, found)


def _print_folded(console: "Console", runs: "list[RunStatus]") -> None:
    """Two lines a run: what it is and how far; below, what else is known."""
    names, steps = (max(len(_head(run)[column]) for run in runs) for column in (0, 1))
    for run in runs:
        name, progress, state = _head(run)
        console.print(f"{name:<{names}}  {progress:<{steps}}  {state}", markup=False)
        speed, saved, best, finding, job = _details(run)
        details = (
            speed and f"{speed} images/s",
            saved and f"saved {saved}",
            best and f"best {best}",
            finding,
            job and f"job {job}",
        )
        console.print(f"  {', '.join(detail for detail in details if detail) or '-'}", markup=False, style="dim")


def _head(run: "RunStatus") -> tuple[str, str, str]:
    if run.steps is None:
        progress = f"{run.step:,}"
    elif run.step > run.steps:
        progress = f"{run.step:,}, past its {run.steps:,}"
    else:
        progress = f"{run.step:,} of {run.steps:,} ({run.step * 100 // run.steps}%)"
    state = run.state or ""
    if state == "silent" and run.silent_seconds is not None:
        state = f"silent for {ago(run.silent_seconds)}"
    return run.folder, progress, state


def _details(run: "RunStatus") -> tuple[str, str, str, str, str]:
    """Speed, last checkpoint, best, finding, job; empty for what is not known."""
    speed = "" if run.images_per_second is None else f"{run.images_per_second:,.0f}"
    saved = "" if run.checkpoint_age_seconds is None else f"{ago(run.checkpoint_age_seconds)} ago"
    best = "" if run.best is None else f"{run.best['name']} {run.best['value']:.4g} at {run.best['step']:,}"
    finding = ""
    if run.finding is not None:
        word = "until" if run.finding.get("event") == "ends" else "since"
        finding = f"{run.finding.get('name', '?')} {word} step {run.finding.get('step', '?')}"
    return speed, saved, best, finding, "" if run.job is None else f"{run.job} {run.job_state}"
