"""`ganforge sweep`."""

from typing import Annotated

import typer

from ganforge.cli.recipes import Overrides, RecipeFile

Axes = list[str] | None


def sweep(
    recipe: RecipeFile,
    overrides: Overrides = None,
    grid: Annotated[
        Axes,
        typer.Option(metavar="PATH=A,B,...", help="Every value in turn, with those of other grids; may be repeated."),
    ] = None,
    random: Annotated[
        Axes,
        typer.Option(
            metavar="PATH=A,B,...|LOW..HIGH[:log]",
            help="Drawn by chance from a list or a range (whole numbers if both ends are); may be repeated.",
        ),
    ] = None,
    tpe: Annotated[
        Axes,
        typer.Option(
            metavar="PATH=A,B,...|LOW..HIGH[:log]",
            help="Drawn by TPE from what earlier trials showed; may be repeated.",
        ),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Trials of the study; by default every combination of the grids once.")
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(help="Name of the study; by default the recipe's name and '-sweep'.", show_default=False),
    ] = None,
    storage: Annotated[
        str,
        typer.Option(help="Database URL that jobs share; by default SQLite in the study's folder.", show_default=False),
    ] = "",
    prune: Annotated[
        bool, typer.Option(help="End a trial early whose figure is worse than the median of the others at that step.")
    ] = True,
    restart: Annotated[
        bool,
        typer.Option("--restart", help="Start from scratch; the contents of the study's folder move into .old-1."),
    ] = False,
) -> None:
    """Train a recipe many times with different options, and find the best by the recipe's own metric.

    Trial 3 trains in OUTPUT/STUDY/STUDY-0003. The same command started several times, on one machine or many, shares
    the trials; if killed, it resumes, each trial from its newest checkpoint. Needs the extra `sweep`.

    Exit codes: 0 done; 2 a mistake, or a trial failed by an error; 85 and 130 as for `ganforge train`.
    """
    import os

    from rich.console import Console

    from ganforge.errors import GanforgeError
    from ganforge.recipe import override, parse, resolve
    from ganforge.recipe_names import find
    from ganforge.sweep.space import grid_size, parse_axis

    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise GanforgeError("sweep needs Optuna: pip install 'ganforge[sweep]'") from error
    from ganforge.sweep.plan import SweepPlan
    from ganforge.sweep.run import run_sweep
    from ganforge.sweep.table import outcome_table

    axes = [
        *(parse_axis("grid", text) for text in grid or []),
        *(parse_axis("random", text) for text in random or []),
        *(parse_axis("tpe", text) for text in tpe or []),
    ]
    if not axes:
        raise GanforgeError(
            "nothing to vary: give --grid, --random or --tpe, as in --grid optimizer.generator.lr=1e-4,2e-4"
        )
    paths = [axis.path for axis in axes]
    if twice := [path for path in paths if paths.count(path) > 1]:
        raise GanforgeError(f"{twice[0]} is given twice; an option is varied in one way")
    if trials is None and any(axis.how != "grid" for axis in axes):
        raise GanforgeError("how many trials? --random and --tpe have no end of their own; give --trials N")
    table = override(parse(find(recipe)), overrides or [])
    plan = SweepPlan(
        table=table,
        source=str(recipe),
        axes=axes,
        trials=trials or grid_size(axes),
        study=study or f"{resolve(table, str(recipe)).name}-sweep",
        storage=storage,
        prunes=prune,
    )
    outcome = run_sweep(plan, int(os.environ.get("WORLD_SIZE", "1")), typer.echo, restart)
    console = Console()
    console.print(outcome_table(outcome))
    if outcome.recipe is not None:
        console.print(f"best: trial {outcome.best}; its recipe: {outcome.recipe}", soft_wrap=True)
    raise typer.Exit(outcome.exit_code)
