"""The dataset `shards`: what a recipe names to train from tar files, wherever they are."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ganforge.data.cache import CACHE_LIMIT_BYTES
from ganforge.data.dataset import Dataset
from ganforge.data.foreign import ReadOptions, open_foreign
from ganforge.data.remote import open_remote
from ganforge.data.shards.dataset import FolderStore, ShardDataset
from ganforge.data.shards.manifest import FILE_NAME, load_manifest
from ganforge.data.urls import expand, is_compressed, is_remote, local_path
from ganforge.errors import DataError
from ganforge.redaction import without_credentials
from ganforge.registry import register

_log = logging.getLogger(__name__)


def open_folder(folder: Path) -> ShardDataset:
    """A packed folder as a dataset.

    Raises:
        DataError: it is not one, or is damaged.
    """
    manifest = load_manifest(folder)
    return ShardDataset(manifest, FolderStore(folder, manifest))


def open_shards(
    path: str, cache_dir: Path, options: ReadOptions | None = None, cache_limit_bytes: int = CACHE_LIMIT_BYTES
) -> ShardDataset:
    """Whatever a path or url names, with an index.

    Args:
        path: folder, tars or urls.
        cache_dir: for fetched shards and indexes.
        options: what the recipe says of foreign shards.
        cache_limit_bytes: of all fetched shards together.

    Raises:
        DataError: there is nothing, or it is damaged.
    """
    if not is_remote(path):
        folder = local_path(path)
        if folder.name == FILE_NAME:
            folder = folder.parent
        if (folder / FILE_NAME).exists():
            return open_folder(folder)
        partial = folder.with_name(folder.name + ".partial")
        if not folder.exists() and partial.exists():
            raise DataError(f"{path}: was not written to the end; run the same command again, it goes on")
    elif _names_a_dataset(path):
        return open_remote(path, cache_dir, cache_limit_bytes=cache_limit_bytes)
    return open_foreign(path, expand(path), cache_dir, options or ReadOptions(), cache_limit_bytes=cache_limit_bytes)


def _names_a_dataset(path: str) -> bool:
    """A url of a folder or a manifest, not of tars."""
    return not path.startswith("pipe:") and not any(mark in path for mark in ("{", "::", ".tar", ".tgz"))


@register.dataset("shards")
def shards(
    cache_dir: Path,
    cache_limit_bytes: int = CACHE_LIMIT_BYTES,
    *,
    path: str,
    size: Annotated[int, Field(ge=0, le=4096)] = 0,
    fit: Literal["center", "celeba", "none", "pad"] = "center",
    channels: Literal[0, 1, 3, 4] = 0,
    image_key: str = "",
    stream: bool = False,
) -> Dataset:
    """Pictures in WebDataset tars: a folder made by `ganforge data pack`, or tars that others made.

    `path` is a local folder, tars such as `data/{000..009}.tar` or `data/*.tar`, or urls with `http(s)`,
    `s3`, `gs`, `az` (extra `remote`), or `pipe:` and a command. Tars without a `dataset.json` are indexed
    at first use; the options after `path` are for those.

    Args:
        path: folder, tars or urls; several are joined by `::`.
        size: height and width of samples; 0 for those of the first picture.
        fit: how pictures of other proportions are met: centred square, CelebA's usual square, squeezed, or padded with
            the median colour of its edge.
        channels: 1 grey, 3 RGB, 4 with alpha, 0 to find out.
        image_key: extension of the picture in a sample, such as `image.jpg`; empty to find it.
        stream: do not index, read with the stock webdataset pipeline; for endless sources.
    """
    options = ReadOptions(size, fit, channels, image_key)
    if not stream and (is_remote(path) or not (local_path(path) / FILE_NAME).exists()):
        stream = not _names_a_dataset(path) and any(is_compressed(location) for location in expand(path))
    if stream:
        from ganforge.data.stream import StreamDataset

        streamed = StreamDataset(path, expand(path), options)
        _tell(path, streamed.losses)
        return streamed
    dataset = open_shards(path, cache_dir, options, cache_limit_bytes)
    told = list(dataset.losses)
    if dataset.manifest.values is not None and dataset.manifest.dtype == "uint8":
        low, high = dataset.manifest.values
        told.append(f"more than 8 bits a channel: values {low:g}..{high:g} become 0..255")
    _tell(path, told)
    return dataset


def _tell(path: str, losses: Sequence[str]) -> None:
    """What is not as it was stored: at each start, not only when an index is made; once for all ranks."""
    if os.environ.get("RANK", "0") == "0":
        for loss in losses:
            _log.warning("%s: %s", without_credentials(path), loss)
