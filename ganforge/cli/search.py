"""`ganforge inpaint` and `ganforge project`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganforge.cli.sampling import ClassName, Seed, progress_bar
from ganforge.cli.trust import Trust

if TYPE_CHECKING:
    from ganforge.search.latents import SearchOptions

Run = Annotated[Path, typer.Argument(help="Run folder.", show_default=False)]
Pictures = Annotated[list[Path], typer.Argument(help="Pictures, one or several.", show_default=False)]
Steps = Annotated[int, typer.Option(min=1, help="Steps of the search.")]
Restarts = Annotated[int, typer.Option(min=1, help="Latents that each picture starts from; the best is kept.")]
LearningRate = Annotated[float, typer.Option("--lr", min=1e-6, help="Learning rate of the search.")]


class Space(StrEnum):
    """What is searched."""

    AUTO = "auto"
    Z = "z"
    W = "w"
    W_PLUS = "w+"


SearchedSpace = Annotated[
    Space,
    typer.Option(
        "--space",
        help="z: latents; w: a style of a generator that has some; w+: a style a layer, which reaches more pictures; "
        "auto: w where there are styles.",
    ),
]
Noise = Annotated[
    bool,
    typer.Option(
        "--optimise-noise",
        help="Search for the noise maps as well, kept from holding the picture (Karras et al. 2020).",
    ),
]
NoiseWeight = Annotated[float, typer.Option(min=0, help="How strongly the noise maps are held to be noise.")]
Exploration = Annotated[
    float,
    typer.Option(
        "--exploration", min=0, help="Noise on the styles in the first steps, in their deviation; 0.05 in the paper."
    ),
]
BatchSize = Annotated[int, typer.Option(min=1, help="Latents moved at a time.")]


def inpaint(
    run: Run,
    pictures: Pictures,
    mask: Annotated[
        str,
        typer.Option(
            help="Picture that is white where pixels are missing, or left,top,right,bottom in the generator's pixels.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for filled pictures, latents and overview.png.")] = Path(
        "inpainted"
    ),
    prior: Annotated[
        float, typer.Option(min=0, help="Weight of the discriminator's opinion; 0 does without a discriminator.")
    ] = 0.003,
    steps: Steps = 300,
    restarts: Restarts = 8,
    lr: LearningRate = 0.05,
    batch_size: BatchSize = 256,
    seed: Seed = 0,
    class_name: ClassName = None,
    space: SearchedSpace = Space.AUTO,
    optimise_noise: Noise = False,
    noise_weight: NoiseWeight = 0.1,
    exploration: Exploration = 0.0,
    trust: Trust = False,
) -> None:
    """Fill holes with what the generator can make there (Yeh et al. 2017).

    Searches for the latent whose sample agrees with what is known around the holes and looks real to the discriminator
    of the newest checkpoint.
    """
    from ganforge.search.write import write_inpainted

    options = _options(steps, restarts, lr, batch_size, seed, space, optimise_noise, noise_weight, exploration)
    with progress_bar("searching") as progress:
        written = write_inpainted(
            run,
            pictures,
            mask=mask,
            out=out,
            prior=prior,
            options=options,
            class_name=class_name,
            progress=progress,
        )
    typer.echo(written)


def project(
    run: Run,
    pictures: Pictures,
    out: Annotated[Path, typer.Option(help="Folder for the nearest pictures, latents and overview.png.")] = Path(
        "projected"
    ),
    steps: Steps = 300,
    restarts: Restarts = 8,
    lr: LearningRate = 0.05,
    batch_size: BatchSize = 256,
    seed: Seed = 0,
    class_name: ClassName = None,
    space: SearchedSpace = Space.AUTO,
    optimise_noise: Noise = False,
    noise_weight: NoiseWeight = 0.1,
    exploration: Exploration = 0.0,
    trust: Trust = False,
) -> None:
    """Find the latent whose sample is nearest to a picture; saves it as .npy beside that sample."""
    from ganforge.search.write import write_projected

    options = _options(steps, restarts, lr, batch_size, seed, space, optimise_noise, noise_weight, exploration)
    with progress_bar("searching") as progress:
        written = write_projected(run, pictures, out=out, options=options, class_name=class_name, progress=progress)
    typer.echo(written)


def _options(
    steps: int,
    restarts: int,
    lr: float,
    batch_size: int,
    seed: int,
    space: Space,
    optimise_noise: bool,
    noise_weight: float,
    exploration: float,
) -> "SearchOptions":
    from ganforge.search.latents import SearchOptions

    return SearchOptions(
        steps=steps,
        lr=lr,
        restarts=restarts,
        seed=seed,
        batch_size=batch_size,
        space=space.value,
        optimise_noise=optimise_noise,
        noise_weight=noise_weight,
        exploration=exploration,
    )
