"""`ganforge inpaint` and `ganforge project`."""

import functools
import inspect
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ganforge.cli.sampling import ClassName, Seed, progress_bar
from ganforge.cli.trust import Trust

if TYPE_CHECKING:
    from ganforge.search.latents import SearchOptions

Run = Annotated[Path, typer.Argument(help="Run folder.", show_default=False)]
Pictures = Annotated[list[Path], typer.Argument(help="Pictures, one or several.", show_default=False)]


class Space(StrEnum):
    """What is searched."""

    AUTO = "auto"
    Z = "z"
    W = "w"
    W_PLUS = "w+"


def _searching(
    *,
    steps: Annotated[int, typer.Option(min=1, help="Steps of the search.")] = 300,
    restarts: Annotated[int, typer.Option(min=1, help="Latents that each picture starts from; the best is kept.")] = 8,
    lr: Annotated[float, typer.Option("--lr", min=1e-6, help="Learning rate of the search.")] = 0.05,
    batch_size: Annotated[int, typer.Option(min=1, help="Latents moved at a time.")] = 256,
    seed: Seed = 0,
    space: Annotated[
        Space,
        typer.Option(
            "--space",
            help="z: latents; w: a style of a generator that has some; w+: a style a layer, which reaches more "
            "pictures; auto: w where there are styles.",
        ),
    ] = Space.AUTO,
    optimise_noise: Annotated[
        bool,
        typer.Option(
            "--optimise-noise",
            help="Search for the noise maps as well, kept from holding the picture (Karras et al. 2020).",
        ),
    ] = False,
    noise_weight: Annotated[float, typer.Option(min=0, help="How strongly the noise maps are held to be noise.")] = 0.1,
    exploration: Annotated[
        float,
        typer.Option(
            "--exploration",
            min=0,
            help="Noise on the styles in the first steps, in their deviation; 0.05 in the paper.",
        ),
    ] = 0.0,
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


def _with_search_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `_searching`, in the place of its argument `options`."""
    searching = inspect.signature(_searching).parameters

    @functools.wraps(command)
    def run(**given: Any) -> None:
        options = _searching(**{name: given.pop(name) for name in searching})
        command(**given, options=options)

    own = inspect.signature(command).parameters.values()
    parameters = [parameter for parameter in own if parameter.name != "options"] + list(searching.values())
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


@_with_search_options
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
    class_name: ClassName = None,
    trust: Trust = False,
    *,
    options: "SearchOptions",
) -> None:
    """Fill holes with what the generator can make there (Yeh et al. 2017).

    Searches for the latent whose sample agrees with what is known around the holes and looks real to the discriminator
    of the newest checkpoint.
    """
    from ganforge.search.write import write_inpainted

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


@_with_search_options
def project(
    run: Run,
    pictures: Pictures,
    out: Annotated[Path, typer.Option(help="Folder for the nearest pictures, latents and overview.png.")] = Path(
        "projected"
    ),
    class_name: ClassName = None,
    trust: Trust = False,
    *,
    options: "SearchOptions",
) -> None:
    """Find the latent whose sample is nearest to a picture; saves it as .npy beside that sample."""
    from ganforge.search.write import write_projected

    with progress_bar("searching") as progress:
        written = write_projected(run, pictures, out=out, options=options, class_name=class_name, progress=progress)
    typer.echo(written)
