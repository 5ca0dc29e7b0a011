"""`ganforge translate`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ganforge.cli.sampling import Source, progress_bar
from ganforge.cli.trust import Trust


class Way(StrEnum):
    """Of a run with two ways."""

    THERE = "there"
    BACK = "back"


def translate(
    run: Source,
    pictures: Annotated[list[Path], typer.Argument(help="Pictures and folders of pictures.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for one PNG a picture, under its name.")] = Path("translated"),
    way: Annotated[
        Way, typer.Option(help="Of a run with two ways: from its sources to its targets, or back.")
    ] = Way.THERE,
    tile: Annotated[
        int, typer.Option(min=0, help="Cut larger pictures into tiles of this many pixels; 0 for whole pictures.")
    ] = 0,
    overlap: Annotated[int, typer.Option(min=0, help="Pixels in which neighbouring tiles are blended.")] = 32,
    size: Annotated[
        int,
        typer.Option(min=0, help="Bring the shorter side to this many pixels first; 0 for no resizing."),
    ] = 0,
    side: Annotated[bool, typer.Option("--side", help="Put each source to the left of its result.")] = False,
    trust: Trust = False,
) -> None:
    """Translate pictures of any size with a trained translator, into files of the same names.

    All processes that a launcher starts share the work, each on its own GPU; after a kill, the same command goes on.
    """
    from ganforge.sampling.translate import Tiles
    from ganforge.sampling.translated_files import translate_files

    with progress_bar("pictures") as progress:
        written = translate_files(
            run,
            pictures,
            out,
            way=way.value,
            tiles=Tiles(tile, overlap),
            size=size,
            side=side,
            progress=progress,
            say=lambda line: typer.echo(line, err=True),
        )
    typer.echo(written)
