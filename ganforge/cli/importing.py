"""`ganforge import`."""

from pathlib import Path
from typing import Annotated

import typer


def import_(
    file: Annotated[
        Path, typer.Argument(help="A .pkl of stylegan2-ada-pytorch, stylegan3 or R3GAN.", show_default=False)
    ],
    out: Annotated[Path, typer.Argument(help="The folder to write.", show_default=False)],
) -> None:
    """Turn a pickle of StyleGAN2 or R3GAN into a folder that the other commands take in the place of a run.

    Nothing that the file carries or names is run. Whoever uses published weights is bound by their licence; that of
    NVIDIA's is non-commercial.
    """
    from ganforge.importing.pickles import import_pickle

    typer.echo(import_pickle(file, out))
