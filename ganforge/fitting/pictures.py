"""Pictures that are not packed yet: shards of them beside the recipe, made once and not again."""

import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ganforge.data.pack import pack
from ganforge.data.packreport import fingerprint_of, lines_of_report
from ganforge.data.pictures import is_picture_name
from ganforge.data.plan import PackOptions
from ganforge.data.shards.manifest import FILE_NAME, is_manifest
from ganforge.data.sources.base import Source
from ganforge.data.sources.open import open_source
from ganforge.errors import DataError
from ganforge.files import user_cache
from ganforge.fitting import large, small
from ganforge.fitting.look import accepts, sizes_of
from ganforge.fitting.sizes import packed_size
from ganforge.recipe_names import SUFFIX
from ganforge.wording import counted

Progress = Callable[[int, int], None]

_ARCHIVES = (".zip", ".npy", ".npz")
_SOURCES = ("hf:", "torchvision:")


def is_source(data: str) -> bool:
    """Whether it names pictures that have to be packed, not shards. What is not there is left to those who say so."""
    path = Path(data).expanduser()
    if data == "digits" or data.startswith(_SOURCES):
        return True
    if path.is_file():
        return path.suffix.lower() in _ARCHIVES
    if not path.is_dir() or is_manifest(path / FILE_NAME):
        return False
    entries = list(path.iterdir())
    return not any(entry.suffix == ".tar" for entry in entries) or any(is_picture_name(entry.name) for entry in entries)


def shards_beside(file: Path) -> Path:
    """Where the shards of a recipe's pictures lie: `mine-shards` beside `mine.toml`."""
    return file.with_name(f"{file.stem}-shards")


def source_of(data: str) -> Source:
    """The pictures that it names.

    Raises:
        DataError: there are none.
    """
    return open_source(data, size=0, cache_dir=user_cache())


def pack_beside(file: Path, data: str, on_gpu: bool, progress: Progress) -> list[str]:
    """Pack pictures for a recipe, unless that was done before.

    Args:
        file: of the recipe, which need not be there.
        data: a folder, zip, npy or npz, or another source of pictures.
        on_gpu: whether a GPU is to train, which can do with larger pictures.
        progress: called with pictures done and pictures in all.

    Returns:
        lines that say what was written, and how.

    Raises:
        DataError: the pictures cannot be used, or are others than those that were packed.
    """
    _check_apart(file, data)
    out, source = shards_beside(file), source_of(data)
    if out.exists():
        check_unchanged(file, data, source)
        return [f"{out}: has been packed from {data} before, and the pictures are the same"]
    most = large.MOST_SIDE if on_gpu else small.MOST_SIDE
    try:
        height, width, why = packed_size(sizes_of(source), most, partial(accepts, on_gpu=on_gpu))
    except ValueError as error:
        raise DataError(f"{data}: {error}") from error
    manifest = pack(source, out, PackOptions(size=(height, width)), progress)
    another = f"`ganforge data pack {shlex.quote(data)} OUT --size 32` takes another"
    return [
        f"{out}: written, {counted(manifest.count, 'picture')} of {manifest.spec}",
        f"size: {height}x{width} (height x width): {why}; {another}",
        *lines_of_report(out),
    ]


def _check_apart(file: Path, data: str) -> None:
    """Refuse to write among the pictures: the samples of a run would be pictures of the next one."""
    folder = Path(data).expanduser()
    if folder.is_dir() and file.parent.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{file}: would lie among the pictures of {data}, as would samples; do it in another folder")


def check_unchanged(file: Path, data: str, source: Source) -> None:
    """Refuse to go on where pictures are others than those that were packed.

    Raises:
        DataError: they have been changed, or the shards are not of them.
    """
    out = shards_beside(file)
    if fingerprint_of(out) == source.fingerprint:
        return
    train = f"; to train on what was packed: `ganforge train {file}`" if file.exists() else ""
    raise DataError(
        f"{out}: was packed from other pictures than {data} holds now{train}; to pack them anew, under another name: "
        f"`ganforge new {file.stem}-2{SUFFIX} --data {shlex.quote(data)}`"
    )
