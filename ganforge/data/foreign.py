"""Shards that others made: indexed at first use, into the cache folder, then read like our own.

What stock webdataset, `tar` and other tools write is accepted: pictures as jpg, png, webp or npy,
labels as `.cls` (a number) or `.json` (`label`, `class` or `cls`: a number or a name).
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from filelock import FileLock

from ganforge.data.cache import CACHE_LIMIT_BYTES, ShardCache
from ganforge.data.classes import label_classes, unlabelled
from ganforge.data.fetch import Patience
from ganforge.data.fitting import Crop
from ganforge.data.npy import MAGIC, array_from
from ganforge.data.pictures import (
    ARRAY_EXTENSION,
    BadPicture,
    Fit,
    from_array,
    npy_header,
    open_picture,
    to_pixels,
    values_in,
)
from ganforge.data.plainjson import parse_json
from ganforge.data.remote import UrlStore
from ganforge.data.shards.dataset import ShardDataset
from ganforge.data.shards.manifest import FILE_NAME, LABELS_NAME, Manifest, Shard, load_manifest, version_for
from ganforge.data.shards.tarindex import write_idx
from ganforge.data.shards.writer import raw_layout
from ganforge.data.tarcontents import Contents, look_through, read_picture, without_unlabelled
from ganforge.data.urls import is_remote, local_path, safe_name
from ganforge.data.values import RANGE_PROBES, ValueRange, extremes, range_of, spread
from ganforge.errors import DataError
from ganforge.redaction import without_credentials

_log = logging.getLogger(__name__)
_PROBES = 32
_VERSION = 2
"""Of the rules by which tars are indexed; older indexes in the cache are made again."""


class ReadOptions(NamedTuple):
    """What the recipe says of foreign shards.

    Attributes:
        size: height and width of samples; 0 for those of the first picture.
        fit: how pictures of other proportions are met.
        channels: 1, 3, 4 with alpha, or 0 to find out.
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
        return Fit(self.size, self.size, crop, self.channels, has_alpha=self.channels == 4)


def open_foreign(
    where: str,
    locations: Sequence[str],
    cache_dir: Path,
    options: ReadOptions,
    patience: Patience | None = None,
    cache_limit_bytes: int = CACHE_LIMIT_BYTES,
) -> ShardDataset:
    """Tars without a manifest as a dataset.

    Raises:
        DataError: a shard is damaged or cannot be had, or there are no pictures.
    """
    cache = ShardCache(cache_dir / "shards", patience, cache_limit_bytes)
    identity = json.dumps([_VERSION, [_identity(location) for location in locations], options])
    folder = cache_dir / "indexes" / hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(str(folder) + ".lock"):
        if not folder.exists():
            temporary = folder.with_name(folder.name + ".tmp")
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            _log.info("%s: indexing %d shards", without_credentials(where), len(locations))
            _index(where, locations, cache, options, temporary)
            os.rename(temporary, folder)
    manifest = load_manifest(folder)
    kept = _sentences(_read(folder / "locations.json"), folder)
    if len(kept) != len(manifest.shards):
        raise _damaged(folder, "locations.json does not name every shard")
    dataset = ShardDataset(manifest, UrlStore(where, manifest, list(kept), cache, str(folder / LABELS_NAME), folder))
    told = _read(folder / "rules.json")
    told = told if isinstance(told, dict) else {}
    dataset.rules = _sentences(told.get("rules"), folder)
    dataset.losses = _sentences(told.get("losses"), folder)
    return dataset


def _read(path: Path) -> object:
    try:
        return parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _damaged(path.parent, f"{path.name} cannot be read: {error}") from error


def _sentences(listed: object, folder: Path) -> tuple[str, ...]:
    if not isinstance(listed, list) or not all(isinstance(text, str) for text in listed):
        raise _damaged(folder, "it does not hold what an index does")
    return tuple(listed)


def _damaged(folder: Path, reason: str) -> DataError:
    return DataError(f"{folder}: is damaged: {reason}; remove the folder, and it is made again")


def _identity(location: str) -> list[object]:
    if is_remote(location):
        return [location]
    try:
        stat = local_path(location).stat()
    except FileNotFoundError:
        raise DataError(f"{location}: the shard is missing; copy it again or take it from the list") from None
    return [str(local_path(location).absolute()), stat.st_size, stat.st_mtime_ns]


def _index(where: str, locations: Sequence[str], cache: ShardCache, options: ReadOptions, folder: Path) -> None:
    contents = look_through(locations, cache, options.image_key)
    if not contents.samples:
        raise DataError(
            f"{where}: none of {len(locations)} shards holds a picture; set data.image_key to its extension"
        )
    if any(label is not None for label in contents.labels):
        found = label_classes(contents.labels, "the shards' .cls and .json")
    else:
        found = unlabelled(len(contents.labels), "no labels: there is no .cls, and no label in a .json")
    contents, numbers = without_unlabelled(contents, found)
    probes = _probes(contents, options)
    values = _values(contents)
    shape = _shape(where, probes, options, contents)
    layouts = [raw_layout(samples) for samples in contents.samples]
    header = npy_header((shape[1], shape[2], shape[0]))
    all_raw = all(stride > 0 for _, stride in layouts) and all(probe.head.startswith(header) for probe in probes)
    shards = []
    for number, (samples, location) in enumerate(zip(contents.samples, contents.locations, strict=True)):
        first, stride = layouts[number] if all_raw else (0, 0)
        shards.append(
            Shard(
                name=safe_name(number, location),
                count=len(samples),
                bytes=contents.sizes[number],
                sha256=contents.digests[number],
                first=first,
                stride=stride,
            )
        )
        write_idx(folder / shards[-1].index_name, samples)
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
        image_key=options.image_key,
        fit="" if all_raw else options.fit,
        version=version_for("uint8", options.channels == 4),
        has_alpha=options.channels == 4,
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


class _Probe(NamedTuple):
    """What one of the first pictures looks like.

    Attributes:
        shape: `(height, width, channels)` when fitted as wished; None if it cannot be read.
        head: the first bytes of its file.
        reason: why it cannot be read.
    """

    shape: tuple[int, ...] | None
    head: bytes
    reason: str = ""


def _probes(contents: Contents, options: ReadOptions) -> list[_Probe]:
    """The first pictures, one after the other: each may be large."""
    count = min(_PROBES, sum(map(len, contents.samples)))
    return [_probe(contents, place, options) for place in range(count)]


def _probe(contents: Contents, place: int, options: ReadOptions) -> _Probe:
    data = b""
    try:
        data = read_picture(contents, place)
        return _Probe(_pixels(data, options).shape, data[:128])
    except BadPicture as error:
        return _Probe(None, data[:128], str(error))


def _values(contents: Contents) -> ValueRange | None:
    """The range of the pictures of more than 8 bits, found out on some of them."""
    places = [place for place, sight in enumerate(contents.sights) if sight is not None and sight[1]]
    arrays = []
    for place in spread(places, RANGE_PROBES):
        try:
            arrays.append(extremes(values_in(read_picture(contents, place))))
        except BadPicture:
            continue  # said when it is read
    return range_of(arrays) if arrays else None


def _shape(where: str, probes: list[_Probe], options: ReadOptions, contents: Contents) -> tuple[int, int, int]:
    shapes = [probe.shape for probe in probes if probe.shape is not None]
    if not shapes:
        raise DataError(f"{where}: none of the first {len(probes)} pictures can be read; the first {probes[0].reason}")
    colour = any(sight[0] for sight in contents.sights if sight is not None) or any(shape[2] > 1 for shape in shapes)
    channels = options.channels or (3 if colour else 1)
    height, width = (options.size, options.size) if options.size else shapes[0][:2]
    return channels, height, width


def _pixels(data: bytes, options: ReadOptions) -> np.ndarray:
    fit = options.probe
    if not data.startswith(MAGIC):
        return to_pixels(open_picture(data), fit)
    try:
        return from_array(array_from(data), fit)
    except ValueError as error:
        raise BadPicture(f"is a damaged .{ARRAY_EXTENSION}: {error}") from None
