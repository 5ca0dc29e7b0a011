"""`ganforge train`."""

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ganforge.cli.data import shown_progress
from ganforge.cli.recipes import RECIPE, Overrides
from ganforge.cli.trust import Trust


class ResumeChoice(StrEnum):
    """What to do if the run folder has a checkpoint."""

    auto = "auto"
    must = "must"
    never = "never"


def train(
    context: typer.Context,
    recipe: Annotated[Path | None, typer.Argument(help=RECIPE, show_default=False)] = None,
    overrides: Overrides = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="Shards to train the recipe on. Without a recipe, pictures or shards: a recipe is written for them.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        ResumeChoice,
        typer.Option(
            help="auto: resume if the run folder has a checkpoint; must: fail without one; never: fail with one."
        ),
    ] = ResumeChoice.auto,
    restart: Annotated[
        bool,
        typer.Option("--restart", help="Start from scratch; the run folder's contents are moved into its .old-1."),
    ] = False,
    init_from: Annotated[
        Path | None,
        typer.Option(
            help="Run folder, checkpoint or generator file whose weights a new run starts from.", show_default=False
        ),
    ] = None,
    init_what_fits: Annotated[
        bool,
        typer.Option("--init-what-fits", help="Take only the tensors of --init-from that fit; list the others."),
    ] = False,
    allow_changed: Annotated[
        bool,
        typer.Option("--allow-changed", help="Resume even if recipe or dataset changed in a way that alters training."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Build everything, print what would happen, take no step.")
    ] = False,
    trust: Trust = False,
) -> None:
    """Train a recipe in its run folder, or resume where it stopped.

    `ganforge train --data ~/pictures` is all that one's own pictures need: it packs them beside a recipe that it writes
    for them, as `ganforge new` does, and trains that; the same command resumes.

    Exit codes: 0 finished; 2 an error that you can fix; 85 saved after SIGTERM or SIGUSR1, start again to resume;
    130 saved after Ctrl-C.
    """
    from rich.console import Console

    from ganforge.errors import GanforgeError
    from ganforge.recipe import load

    if restart and resume is ResumeChoice.must:
        raise GanforgeError("--restart starts from scratch and --resume must resumes; leave one out")
    if init_what_fits and init_from is None:
        raise GanforgeError("--init-what-fits says what to do with --init-from; name that as well")
    if recipe is None and data is None:
        context.fail("name a recipe, such as digits32, or your pictures with --data")
    if recipe is None:
        resolved = load(_own_recipe(str(data), dry_run), overrides or [])
    else:
        resolved = load(recipe, overrides or [], data=data)
    if dry_run:
        from ganforge.dry_run import describe_run
        from ganforge.trust import check_commands

        check_commands(resolved.to_dict(), f"{recipe or resolved.name} with --dry-run")
        describe_run(resolved, Console())
        return
    from ganforge.training.session import finish_processes, run_session

    exit_code = run_session(
        resolved,
        resume=resume.value,
        restart=restart,
        allow_changed=allow_changed,
        init_from=init_from,
        init_what_fits=init_what_fits,
    )
    finish_processes()
    raise typer.Exit(exit_code)


def _own_recipe(data: str, dry_run: bool) -> Path:
    """The recipe for the data, written if it is not there."""
    from ganforge.errors import GanforgeError
    from ganforge.fitting.own import recipe_for

    if dry_run:
        raise GanforgeError(
            f"--dry-run writes nothing; `ganforge new --data {shlex.quote(data)}` writes a recipe to look at"
        )
    with shown_progress("packing", "pictures") as progress:
        return recipe_for(data, progress, typer.echo)
