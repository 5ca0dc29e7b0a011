"""The dataset `shards`: what a recipe names to train from tar files, wherever they are."""

from pathlib import Path

from ganforge.data.manifest import load_manifest
from ganforge.data.sharddataset import FolderStore, ShardDataset
from ganforge.errors import DataError
from ganforge.registry import register


def open_folder(folder: Path) -> ShardDataset:
    """A packed folder as a dataset.

    Raises:
        DataError: it is not one, or is damaged.
    """
    manifest = load_manifest(folder)
    return ShardDataset(manifest, FolderStore(folder, manifest))


def open_shards(path: str, cache_dir: Path) -> ShardDataset:
    """Whatever the recipe's `path` names.

    Raises:
        DataError: there is nothing, or it is damaged.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise DataError(f"{path}: there is no such folder; make it with `ganforge data pack SOURCE {path}`")
    return open_folder(folder)


@register.dataset("shards")
def shards(cache_dir: Path, *, path: str) -> ShardDataset:
    """Pictures in WebDataset tars: a folder made by `ganforge data pack`.

    Args:
        path: the folder.
    """
    return open_shards(path, cache_dir)
