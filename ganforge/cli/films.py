"""`ganforge interpolate`, `ganforge evolve` and `ganforge neighbours`."""

from pathlib import Path
from typing import Annotated

import typer

from ganforge.cli.sampling import ClassName, Ema, Psi, Seed, Source, Truncation
from ganforge.cli.trust import Trust

FramesPerSecond = Annotated[float, typer.Option("--fps", min=0.1, max=60, help="Frames per second of a film.")]


def interpolate(
    run: Source,
    out: Annotated[Path, typer.Option(help="walk.png for a strip, walk.gif or walk.mp4 for a film.")] = Path(
        "walk.png"
    ),
    seed: Seed = 0,
    walks: Annotated[int, typer.Option(min=1, help="Walks side by side; a strip has a row for each.")] = 1,
    stops: Annotated[int, typer.Option(min=2, help="Latents that a walk passes through.")] = 5,
    frames: Annotated[int, typer.Option(min=1, help="Steps from one latent to the next.")] = 8,
    fps: FramesPerSecond = 12.0,
    loop: Annotated[bool, typer.Option("--loop", help="Walk back to the first latent at the end.")] = False,
    averaged: Ema = True,
    truncation: Truncation = None,
    psi: Psi = None,
    class_name: ClassName = None,
    trust: Trust = False,
) -> None:
    """Walk from latent to latent on great circles, or straight from style to style, and show the pictures on the way.

    MP4 needs the extra `video`.
    """
    from ganforge.sampling.interpolate import write_walk

    written = write_walk(
        run,
        out=out,
        seed=seed,
        walks=walks,
        stops=stops,
        frames=frames,
        fps=fps,
        loop=loop,
        averaged=averaged,
        truncation=truncation,
        psi=psi,
        class_name=class_name,
    )
    typer.echo(written)


def evolve(
    run: Annotated[Path, typer.Argument(help="Run folder.", show_default=False)],
    out: Annotated[Path, typer.Option(help="evolution.gif or .mp4 for a film, .png for a strip.")] = Path(
        "evolution.gif"
    ),
    indices: Annotated[
        list[int] | None,
        typer.Option(
            "--index", min=0, help="Picture of the grid to follow, from 0; may be given again. Default: the whole grid."
        ),
    ] = None,
    fps: FramesPerSecond = 4.0,
) -> None:
    """Show how the pictures of the same latents changed over a training, from the grids in the run folder."""
    from ganforge.sampling.evolve import write_evolution

    typer.echo(write_evolution(run, out=out, indices=tuple(indices or ()), fps=fps))


def neighbours(
    run: Annotated[Path, typer.Argument(help="Run folder.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Picture of the nearest; figures go into a .json beside it.")] = Path(
        "neighbours.png"
    ),
    num: Annotated[int, typer.Option("--n", min=1, help="Samples to judge.")] = 1024,
    show: Annotated[int, typer.Option(min=1, help="Samples in the picture, those nearest to the data.")] = 8,
    k: Annotated[int, typer.Option("--k", min=1, max=64, help="Training pictures beside each.")] = 6,
    num_reals: Annotated[int, typer.Option(min=0, help="Number of training pictures to look at; 0 for all.")] = 0,
    seed: Seed = 0,
    averaged: Ema = True,
    trust: Trust = False,
) -> None:
    """Check whether the generator copies: samples beside the training pictures nearest to them, in pixels."""
    from ganforge.sampling.memorisation import write_neighbours

    typer.echo(write_neighbours(run, out=out, num=num, show=show, k=k, limit=num_reals, seed=seed, averaged=averaged))
