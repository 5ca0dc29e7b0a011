"""Shards that others made: indexed at first use, into the cache folder, then read like our own.

What stock webdataset, `tar` and other tools write is accepted: pictures as jpg, png, webp or npy,
labels as `.cls` (a number) or `.json` (`label`, `class` or `cls`: a number or a name).
"""

import hashlib
import io
import json
import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from filelock import FileLock

from ganforge.data.cache import ShardCache
from ganforge.data.classes import label_classes, unlabelled
from ganforge.data.fetch import Patience
from ganforge.data.pictures import (
    ARRAY_EXTENSION,
    BadPicture,
    Crop,
    Fit,
    from_array,
    open_picture,
    to_pixels,
    values_in,
)
from ganforge.data.remote import UrlStore
from ganforge.data.shards.dataset import ShardDataset
from ganforge.data.shards.manifest import FILE_NAME, LABELS_NAME, Manifest, Shard, load_manifest
from ganforge.data.shards.open import array_header
from ganforge.data.shards.tarindex import format_idx
from ganforge.data.shards.writer import raw_layout
from ganforge.data.tarcontents import Contents, look_through, read_pictures, without_unlabelled
from ganforge.data.urls import is_remote, local_path, safe_name
from ganforge.data.values import RANGE_PROBES, ValueRange, range_of, spread
from ganforge.errors import DataError

_log = logging.getLogger(__name__)
_PROBES = 32
_VERSION = 2
"""Of the rules by which tars are indexed; older indexes in the cache are made anew."""


class Wishes(NamedTuple):
    """What the recipe says of foreign shards.

    Attributes:
        size: height and width of samples; 0 for those of the first picture.
        fit: how pictures of other proportions are met.
        channels: 1, 3, or 0 to find out.
        image_key: extension of the picture; empty to find it.
    """

    size: int = 0
    fit: Crop = "center"
    channels: int = 0
    image_key: str = ""

    @property
    def probe(self) -> Fit:
        """How a picture is read to see its shape; without a size it keeps its own, except under a crop of its own."""
        crop = self.fit if self.size or self.fit == "celeba" else "none"
        return Fit(self.size, self.size, crop, self.channels)


def open_foreign(
    where: str, locations: Sequence[str], cache_dir: Path, wishes: Wishes, patience: Patience | None = None
) -> ShardDataset:
    """Tars without a manifest as a dataset.

    Raises:
        DataError: a shard is damaged or cannot be had, or there are no pictures.
    """
    cache = ShardCache(cache_dir / "shards", patience)
    identity = json.dumps([_VERSION, [_identity(location) for location in locations], wishes])
    folder = cache_dir / "indexes" / hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(str(folder) + ".lock"):
        if not folder.exists():
            temporary = folder.with_name(folder.name + ".tmp")
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            _log.info("%s: indexing %d shards", where, len(locations))
            _index(where, locations, cache, wishes, temporary)
            os.rename(temporary, folder)
    manifest = load_manifest(folder)
    kept = json.loads((folder / "locations.json").read_text())
    dataset = ShardDataset(manifest, UrlStore(where, manifest, kept, cache, str(folder / LABELS_NAME), folder))
    told = json.loads((folder / "rules.json").read_text())
    dataset.rules, dataset.losses = tuple(told["rules"]), tuple(told["losses"])
    return dataset


def _identity(location: str) -> list[object]:
    if is_remote(location):
        return [location]
    try:
        stat = local_path(location).stat()
    except FileNotFoundError:
        raise DataError(f"{location}: the shard is missing; copy it again or take it from the list") from None
    return [str(local_path(location).absolute()), stat.st_size, stat.st_mtime_ns]


def _index(where: str, locations: Sequence[str], cache: ShardCache, wishes: Wishes, folder: Path) -> None:
    contents = look_through(locations, cache, wishes.image_key)
    if not contents.samples:
        raise DataError(
            f"{where}: none of {len(locations)} shards holds a picture; set data.image_key to its extension"
        )
    if any(label is not None for label in contents.labels):
        found = label_classes(contents.labels, "the shards' .cls and .json")
    else:
        found = unlabelled(len(contents.labels), "no labels: there is no .cls, and no label in a .json")
    contents, numbers = without_unlabelled(contents, found)
    pictures = _probes(contents)
    values = _values(contents)
    shape = _shape(where, pictures, wishes, contents)
    layouts = [raw_layout(samples) for samples in contents.samples]
    all_raw = all(stride > 0 for _, stride in layouts) and all(_is_raw(data, shape) for data in pictures)
    shards = []
    for number, (samples, tar, location) in enumerate(
        zip(contents.samples, contents.tars, contents.locations, strict=True)
    ):
        first, stride = layouts[number] if all_raw else (0, 0)
        shards.append(
            Shard(
                name=safe_name(number, location),
                count=len(samples),
                bytes=tar.stat().st_size,
                sha256=contents.digests[number],
                first=first,
                stride=stride,
            )
        )
        (folder / shards[-1].index_name).write_text(format_idx(samples), errors="surrogateescape")
    sha256 = ""
    if found.classes:
        np.save(folder / LABELS_NAME, np.array(numbers, dtype=np.int64))
        sha256 = hashlib.sha256((folder / LABELS_NAME).read_bytes()).hexdigest()
    manifest = Manifest(
        count=len(numbers),
        shape=shape,
        classes=found.classes,
        codec="raw" if all_raw else "keep",
        shards=tuple(shards),
        labels_sha256=sha256,
        image_key=wishes.image_key,
        fit="" if all_raw else wishes.fit,
        values=None if all_raw or values is None else (values.low, values.high),
    )
    kept = [place if is_remote(place) else str(local_path(place).absolute()) for place in contents.locations]
    (folder / "locations.json").write_text(json.dumps(kept))
    losses = [*contents.losses]
    if not found.classes and any(label is not None for label in contents.labels):
        losses.append(found.rule)
    rules = [*losses] if found.rule in losses else [*losses, found.rule]
    (folder / "rules.json").write_text(json.dumps({"rules": rules, "losses": losses}))
    (folder / FILE_NAME).write_text(manifest.dump())


def _probes(contents: Contents) -> list[bytes]:
    count = min(_PROBES, sum(map(len, contents.samples)))
    return read_pictures(contents, range(count))


def _values(contents: Contents) -> ValueRange | None:
    """The range of the pictures of more than 8 bits, found out on some of them."""
    places = [place for place, sight in enumerate(contents.sights) if sight is not None and sight[1]]
    arrays = []
    for data in read_pictures(contents, spread(places, RANGE_PROBES)):
        try:
            arrays.append(values_in(data))
        except BadPicture:
            continue  # said when it is read
    return range_of(arrays) if arrays else None


def _shape(where: str, pictures: list[bytes], wishes: Wishes, contents: Contents) -> tuple[int, int, int]:
    shapes, reason = [], ""
    for data in pictures:
        try:
            shapes.append(_pixels(data, wishes).shape)
        except BadPicture as error:
            reason = reason or str(error)
    if not shapes:
        raise DataError(f"{where}: none of the first {len(pictures)} pictures can be read; the first {reason}")
    colour = any(sight[0] for sight in contents.sights if sight is not None) or any(shape[2] > 1 for shape in shapes)
    channels = wishes.channels or (3 if colour else 1)
    height, width = (wishes.size, wishes.size) if wishes.size else shapes[0][:2]
    return channels, height, width


def _pixels(data: bytes, wishes: Wishes) -> np.ndarray:
    fit = wishes.probe
    if data.startswith(b"\x93NUMPY"):
        return from_array(_array(data), fit)
    return to_pixels(open_picture(data), fit)


def _array(data: bytes) -> np.ndarray:
    try:
        return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise BadPicture(f"is a damaged .{ARRAY_EXTENSION}: {error}") from None


def _is_raw(data: bytes, shape: tuple[int, int, int]) -> bool:
    """Whether it is an array that can be used as it lies in the file."""
    return data.startswith(array_header((shape[1], shape[2], shape[0])))
