"""`ganforge train`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ganforge.cli.recipes import Overrides
from ganforge.cli.trust import Trust


class ResumeChoice(StrEnum):
    """What to do about a checkpoint in the run folder."""

    auto = "auto"
    must = "must"
    never = "never"


def train(
    recipe: Annotated[Path, typer.Argument(help="Recipe file.", show_default=False)],
    overrides: Overrides = None,
    resume: Annotated[
        ResumeChoice,
        typer.Option(
            help="auto: go on if the run folder has a checkpoint; must: fail without one; never: fail with one."
        ),
    ] = ResumeChoice.auto,
    init_from: Annotated[
        Path | None, typer.Option(help="Run folder whose weights a new run starts from.", show_default=False)
    ] = None,
    allow_changed: Annotated[
        bool, typer.Option("--allow-changed", help="Go on under a changed recipe, though it is another run.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Build everything, print what would happen, take no step.")
    ] = False,
    trust: Trust = False,
) -> None:
    """Train a recipe in its run folder, or go on where it stopped.

    Exit codes: 0 finished; 2 a mistake that you can mend; 85 saved after SIGTERM or SIGUSR1, start again to go on;
    130 saved after Ctrl-C.
    """
    from rich.console import Console

    from ganforge.recipe import load

    resolved = load(recipe, overrides or [])
    if dry_run:
        from ganforge.training.dry_run import describe_run
        from ganforge.trust import check_commands

        check_commands(resolved.to_dict(), f"{recipe} with --dry-run")
        describe_run(resolved, Console())
        return
    from ganforge.training.session import finish_processes, run_session

    exit_code = run_session(resolved, resume=resume.value, allow_changed=allow_changed, init_from=init_from)
    finish_processes()
    raise typer.Exit(exit_code)
