"""`ganforge export`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ganforge.cli.sampling import Source
from ganforge.cli.trust import Trust


class Format(StrEnum):
    """What a generator becomes."""

    SAFETENSORS = "safetensors"
    ONNX = "onnx"
    TORCH_EXPORT = "torch-export"
    HUB = "hub"


def export(
    run: Source,
    to: Annotated[
        Format,
        typer.Option(
            help="safetensors: the generator file; onnx: for onnxruntime (extra export); torch-export: a .pt2 that "
            "needs no ganforge; hub: a folder for the Hugging Face Hub with a model card.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="File or folder; by default generator.* or hub in this folder.", show_default=False),
    ] = None,
    push: Annotated[
        str | None, typer.Option(help="With --to hub: upload the folder to this owner/name.", show_default=False)
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    license_name: Annotated[
        str | None,
        typer.Option("--license", help="License for the card, such as apache-2.0.", show_default=False),
    ] = None,
    trust: Trust = False,
) -> None:
    """Write a trained generator in another format, and check that it still makes the same pictures."""
    from ganforge.export.write import export

    typer.echo(export(run, to.value, out=out, push=push, private=private, license_name=license_name))
