"""Export a generator: choose the format, and the file or folder to write."""

from pathlib import Path
from typing import Literal

from ganforge.arguments import argument
from ganforge.errors import GanforgeError
from ganforge.export.formats import export_onnx, export_safetensors, export_torch
from ganforge.export.hub_folder import export_hub
from ganforge.saved.generator_file import find_generator
from ganforge.saved.hub import check_repository

Format = Literal["safetensors", "onnx", "torch-export", "hub"]
NAMES: dict[str, str] = {
    "safetensors": "generator.safetensors",
    "onnx": "generator.onnx",
    "torch-export": "generator.pt2",
    "hub": "hub",
}


def export(
    run: str | Path,
    to: Format,
    *,
    out: Path | None = None,
    push: str | None = None,
    private: bool = False,
    license_name: str | None = None,
) -> str:
    """Write a generator in another format.

    Args:
        run: run folder (its best generator, else its last) or generator file.
        to: format.
        out: file, or folder for `hub`; None for a fixed name in the working directory.
        push: `owner/name` to upload the folder to, for `hub`.
        private: whether a new repository is private.
        license_name: identifier of a license for the model card.

    Returns:
        what was written where.

    Raises:
        CheckpointError: there is no generator.
        GanforgeError: the format cannot hold it, a package is missing, or `out` cannot be written.
    """
    if to != "hub" and push is not None:
        raise GanforgeError(f"{argument('push')} uploads the folder that {argument('to', 'hub')} makes, not {to}")
    if push is not None:
        check_repository(push)
    place = Path(NAMES[to]) if out is None else out
    if place.exists() and to != "hub" and place.resolve() == Path(find_generator(run)).resolve():
        raise GanforgeError(f"{argument('out', place)}: is the generator itself; choose another name")
    try:
        if to == "safetensors":
            return export_safetensors(run, place)
        if to == "onnx":
            return export_onnx(run, place)
        if to == "torch-export":
            return export_torch(run, place)
    except OSError as error:
        raise GanforgeError(f"{place}: cannot be written: {error.strerror or error}") from error
    return export_hub(run, place, repo=push, license_name=license_name, push=push is not None, private=private)
