"""`ganforge sample`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ganforge.cli.trust import Trust

Source = Annotated[
    str,
    typer.Argument(
        help="Run folder, checkpoint folder, generator file, or owner/name on the Hugging Face Hub.", show_default=False
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the latents.")]
Ema = Annotated[
    bool,
    typer.Option(
        "--ema/--no-ema", help="Averaged weights (best generator, else the last), or raw ones of the newest checkpoint."
    ),
]
Truncation = Annotated[
    float | None,
    typer.Option(
        help="Keep the latents' components within this bound, such as 2 or 0.5: better and less varied samples "
        "(Brock et al. 2019).",
        show_default=False,
    ),
]
Psi = Annotated[
    float | None,
    typer.Option(
        help="Pull styles towards their mean: 0.7 for better and less varied samples, 0 for the mean alone; of a "
        "generator with styles, such as stylegan2 (Karras et al. 2019).",
        show_default=False,
    ),
]
ClassName = Annotated[
    str | None,
    typer.Option("--class", help="Only this class, by name or number; of a conditional generator.", show_default=False),
]


def sample(
    run: Source,
    num: Annotated[int, typer.Option("--n", min=1, help="How many samples.")] = 64,
    out: Annotated[
        Path, typer.Option(help="A picture file for a grid, or a new folder for one file a sample or for shards.")
    ] = Path("grid.png"),
    seed: Seed = 0,
    averaged: Ema = True,
    truncation: Truncation = None,
    psi: Psi = None,
    class_name: ClassName = None,
    shards: Annotated[
        bool, typer.Option("--shards", help="Write WebDataset shards, which `ganforge train` can read.")
    ] = False,
    per_shard: Annotated[
        int, typer.Option(min=0, help="Samples in a shard; 0 for what makes up to 128 MB, at most 8,192.")
    ] = 0,
    trust: Trust = False,
) -> None:
    """Draw samples from a trained generator into a grid, a folder, or shards.

    Sample i depends on the seed and i alone. Shards are made by all processes that a launcher starts, each on its own
    GPU; after a kill, the same command resumes.
    """
    from ganforge.sampling.write import write_part_of_shards, write_samples

    if not shards:
        written = write_samples(
            run, num=num, out=out, seed=seed, averaged=averaged, truncation=truncation, psi=psi, class_name=class_name
        )
    else:
        with progress_bar("samples") as progress:
            written = write_part_of_shards(
                run,
                num=num,
                out=out,
                seed=seed,
                averaged=averaged,
                truncation=truncation,
                psi=psi,
                class_name=class_name,
                per_shard=per_shard,
                progress=progress,
            )
    typer.echo(written)


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar for people; nothing where the output is not a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(what)
        yield lambda done, total: progress.update(task, completed=done, total=total)
