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

from ganforge.data.cache import CACHE_LIMIT_BYTES, ShardCache
from ganforge.data.fetch import Patience
from ganforge.data.limits import LABEL_BYTES, METADATA_BYTES, PICTURE_BYTES, in_bytes, numbered_classes
from ganforge.data.manifest import FILE_NAME, LABELS_NAME, Manifest, Shard, load_manifest
from ganforge.data.npy import MAGIC, array_from
from ganforge.data.openshard import picture_member
from ganforge.data.pictures import (
    ARRAY_EXTENSION,
    BadPicture,
    Crop,
    Fit,
    from_array,
    npy_header,
    open_picture,
    to_pixels,
)
from ganforge.data.plainjson import parse_json
from ganforge.data.remote import UrlStore
from ganforge.data.sharddataset import ShardDataset
from ganforge.data.shardwriter import raw_layout
from ganforge.data.tarindex import Member, Sample, scan_tar, shown, write_idx
from ganforge.data.urls import is_remote, local_path, safe_name
from ganforge.errors import DataError

_log = logging.getLogger(__name__)
_LABEL_KEYS = ("label", "class", "cls", "class_id", "label_id")
_PROBES = 32


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


def open_foreign(
    where: str,
    locations: Sequence[str],
    cache_dir: Path,
    wishes: Wishes,
    patience: Patience | None = None,
    cache_limit_bytes: int = CACHE_LIMIT_BYTES,
) -> ShardDataset:
    """Tars without a manifest as a dataset.

    Args:
        where: as the recipe names them.
        locations: path or url of each.
        cache_dir: for fetched shards and the index.
        wishes: what the recipe says of them.
        patience: limits on fetching.
        cache_limit_bytes: of all fetched shards together, and so of each.

    Raises:
        DataError: a shard is damaged or cannot be had, or there are no pictures.
    """
    cache = ShardCache(cache_dir / "shards", patience, cache_limit_bytes)
    identity = json.dumps([[_identity(location) for location in locations], wishes])
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
    kept = _read_locations(folder / "locations.json", len(manifest.shards))
    return ShardDataset(manifest, UrlStore(where, manifest, kept, cache, str(folder / LABELS_NAME), folder))


def _read_locations(path: Path, count: int) -> list[str]:
    try:
        kept = parse_json(path.read_bytes())
        if not isinstance(kept, list) or len(kept) != count or not all(isinstance(place, str) for place in kept):
            raise ValueError("it does not name every shard")
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: is damaged: {error}; remove the folder, and it is made again") from error
    return kept


def _identity(location: str) -> list[object]:
    if is_remote(location):
        return [location]
    try:
        stat = local_path(location).stat()
    except FileNotFoundError:
        raise DataError(f"{location}: the shard is missing; copy it again or take it from the list") from None
    return [str(local_path(location).absolute()), stat.st_size, stat.st_mtime_ns]


def _index(where: str, locations: Sequence[str], cache: ShardCache, wishes: Wishes, folder: Path) -> None:
    shards: list[Shard] = []
    kept: list[str] = []
    labels: list[int | str | None] = []
    probes: list[_Probe] = []
    all_raw = True
    for number, location in enumerate(locations):
        tar = cache.get(location) if is_remote(location) else local_path(location)
        samples = [sample for sample in scan_tar(tar, location) if picture_member(sample, wishes.image_key) >= 0]
        if not samples:
            _log.warning("%s: holds no pictures and is left out", location)
            continue
        first, stride = raw_layout(samples)
        all_raw = all_raw and stride > 0
        with open(tar, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest() if is_remote(location) else ""
            labels += [_label(file, sample, location) for sample in samples]
            for sample in samples[: max(0, _PROBES - len(probes))]:
                probes.append(_probe(file, sample[picture_member(sample, wishes.image_key)], wishes))
        name = safe_name(number, location)
        shards.append(
            Shard(name=name, count=len(samples), bytes=tar.stat().st_size, sha256=digest, first=first, stride=stride)
        )
        write_idx(folder / shards[-1].index_name, samples)
        kept.append(str(location) if is_remote(location) else str(local_path(location).absolute()))
        if digest:
            _rename_to_content(cache, location, digest)
            cache.make_room()
    if not shards:
        raise DataError(
            f"{where}: none of {len(locations)} shards holds a picture; set data.image_key to its extension"
        )
    shape = _shape(where, probes, wishes)
    header = npy_header((shape[1], shape[2], shape[0]))
    all_raw = all_raw and all(probe.head.startswith(header) for probe in probes)
    if not all_raw:
        shards = [shard.model_copy(update={"first": 0, "stride": 0}) for shard in shards]
    classes, numbers = _classes(labels, where)
    sha256 = ""
    if classes:
        np.save(folder / LABELS_NAME, np.array(numbers, dtype=np.int64))
        sha256 = hashlib.sha256((folder / LABELS_NAME).read_bytes()).hexdigest()
    manifest = Manifest(
        count=len(labels),
        shape=shape,
        classes=classes,
        codec="raw" if all_raw else "keep",
        shards=tuple(shards),
        labels_sha256=sha256,
        image_key=wishes.image_key,
        fit="" if all_raw else wishes.fit,
    )
    (folder / "locations.json").write_text(json.dumps(kept))
    (folder / FILE_NAME).write_text(manifest.dump())


def _rename_to_content(cache: ShardCache, location: str, sha256: str) -> None:
    """From now on the cache knows the shard by its content."""
    target = cache.path(location, sha256)
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(cache.path(location), target)


def _label(file: io.BufferedReader, sample: Sample, location: str) -> int | str | None:
    for member in sample:
        last = member.extension.rsplit(".", 1)[-1].lower()
        if last not in ("cls", "json"):
            continue
        most = LABEL_BYTES if last == "cls" else METADATA_BYTES
        if member.size > most:
            large = f"is {in_bytes(member.size)} large, too much for a label"
            raise DataError(f"{location}: {shown(member.name)}: {large}; mend the shard")
        file.seek(member.offset)
        data = file.read(member.size)
        try:
            if last == "cls":
                return int(data)
            table = parse_json(data)
        except ValueError:
            raise DataError(f"{location}: {shown(member.name)}: {data[:40]!r} is no label; mend the shard") from None
        for key in _LABEL_KEYS:
            if isinstance(table, dict) and type(table.get(key)) in (int, str):
                return _checked(table[key], f"{location}: {shown(member.name)}")
    return None


def _checked(label: int | str, where: str) -> int | str:
    """A label that can be the name of a class in a manifest, which is UTF-8."""
    if isinstance(label, str) and (len(label) > LABEL_BYTES or any("\ud800" <= char <= "\udfff" for char in label)):
        raise DataError(f"{where}: {label[:40]!a} cannot be the name of a class; mend the shard")
    return label


def _classes(labels: list[int | str | None], where: str) -> tuple[tuple[str, ...], list[int]]:
    """Names of the classes and a number a sample; no classes unless every sample has a label of one type."""
    kinds = {type(label) for label in labels}
    if kinds == {int}:
        numbers = [label for label in labels if isinstance(label, int)]
        if min(numbers) >= 0:
            return numbered_classes(max(numbers), where), numbers
    if kinds == {str}:
        names = tuple(sorted({label for label in labels if isinstance(label, str)}))
        table = {name: number for number, name in enumerate(names)}
        return names, [table[str(label)] for label in labels]
    if kinds != {type(None)}:
        _log.warning("labels are not of one kind or not of every sample, and are left out")
    return (), []


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


def _probe(file: io.BufferedReader, member: Member, wishes: Wishes) -> _Probe:
    if member.size > PICTURE_BYTES:
        return _Probe(None, b"", f"is {in_bytes(member.size)} large, and pictures may have {in_bytes(PICTURE_BYTES)}")
    file.seek(member.offset)
    data = file.read(member.size)
    try:
        return _Probe(_pixels(data, wishes).shape, data[:128])
    except BadPicture as error:
        return _Probe(None, data[:128], str(error))


def _shape(where: str, probes: list[_Probe], wishes: Wishes) -> tuple[int, int, int]:
    shapes = [probe.shape for probe in probes if probe.shape is not None]
    if not shapes:
        raise DataError(f"{where}: none of the first {len(probes)} pictures can be read; the first {probes[0].reason}")
    channels = wishes.channels or (1 if all(shape[2] == 1 for shape in shapes) else 3)
    height, width = (wishes.size, wishes.size) if wishes.size else shapes[0][:2]
    return channels, height, width


def _pixels(data: bytes, wishes: Wishes) -> np.ndarray:
    fit = Fit(wishes.size, wishes.size, wishes.fit, wishes.channels)
    if not data.startswith(MAGIC):
        return to_pixels(open_picture(data), fit)
    try:
        return from_array(array_from(data), fit)
    except ValueError as error:
        raise BadPicture(f"is a damaged .{ARRAY_EXTENSION}: {error}") from None
