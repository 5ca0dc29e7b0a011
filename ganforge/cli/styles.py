"""`ganforge directions` and `ganforge mix`."""

from pathlib import Path
from typing import Annotated

import typer

from ganforge.cli.sampling import ClassName, Psi, Seed, Source
from ganforge.cli.trust import Trust

LayerRange = Annotated[
    str,
    typer.Option(
        "--layers", help="Layers by number from 0, such as 0-3 (pose, shape), 4- (the rest: colour, texture) or 5."
    ),
]


def directions(
    run: Source,
    out: Annotated[Path, typer.Option(help="Picture with a row a direction; the vectors go beside it as .npy.")] = Path(
        "directions.png"
    ),
    num: Annotated[int, typer.Option("--n", min=1, help="Directions, those that change most first.")] = 5,
    layers: LayerRange = "0-",
    steps: Annotated[int, typer.Option(min=2, help="Pictures in a row.")] = 7,
    reach: Annotated[float, typer.Option(min=0, help="How far, in standard deviations of the styles.")] = 3.0,
    index: Annotated[int, typer.Option(min=0, help="The sample that is changed.")] = 0,
    seed: Seed = 0,
    psi: Psi = None,
    class_name: ClassName = None,
    trust: Trust = False,
) -> None:
    """Show what can be changed in the samples of a generator with styles (SeFa, Shen and Zhou 2021)."""
    from ganforge.sampling.directions import write_directions

    written = write_directions(
        run, out=out, num=num, layers=layers, steps=steps, reach=reach,
        index=index, seed=seed, psi=psi, class_name=class_name,
    )  # fmt: skip
    typer.echo(written)


def mix(
    run: Source,
    out: Annotated[Path, typer.Option(help="Picture with the table.")] = Path("mixed.png"),
    rows: Annotated[int, typer.Option(min=1, help="Samples that are changed.")] = 4,
    columns: Annotated[int, typer.Option(min=1, help="Samples that give styles.")] = 5,
    layers: LayerRange = "0-3",
    seed: Seed = 0,
    psi: Psi = None,
    class_name: ClassName = None,
    trust: Trust = False,
) -> None:
    """Show samples with some styles of others (StyleGAN, Karras et al. 2019, figure 3)."""
    from ganforge.sampling.directions import write_mix

    typer.echo(
        write_mix(run, out=out, rows=rows, columns=columns, layers=layers, seed=seed, psi=psi, class_name=class_name)
    )
