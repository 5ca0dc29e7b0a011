"""`ganforge sample`."""

from pathlib import Path
from typing import Annotated

import typer


def sample(
    run: Annotated[Path, typer.Argument(help="Run folder, or a generator file.", show_default=False)],
    num: Annotated[int, typer.Option("--n", min=1, help="How many samples.")] = 64,
    out: Annotated[Path, typer.Option(help="A picture file for a grid, or a folder for one file a sample.")] = Path(
        "grid.png"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the latents.")] = 0,
    ema: Annotated[
        bool,
        typer.Option(
            help="Averaged weights (the best generator, else the last), or the raw ones of the newest checkpoint."
        ),
    ] = True,
) -> None:
    """Draw samples from a trained generator into a grid or a folder."""
    from ganforge.sampling import write_samples

    written = write_samples(run, num=num, out=out, seed=seed, averaged=ema)
    typer.echo(written)
