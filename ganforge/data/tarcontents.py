"""What foreign tars hold, found out by reading headers: samples, labels, grey or colour, 8 bits or more."""

import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ganforge.data.cache import ShardCache
from ganforge.data.classes import Label, Labelling, printable
from ganforge.data.header import HEADER_BYTES, array_sight, is_colour, is_deep, look
from ganforge.data.limits import PICTURE_BYTES, in_bytes
from ganforge.data.npy import MAGIC
from ganforge.data.pictures import BadPicture
from ganforge.data.shards.open import picture_member
from ganforge.data.shards.tarindex import Member, Sample, scan_tar
from ganforge.data.tarsamples import label_of, pictures_of
from ganforge.data.urls import is_remote, local_path
from ganforge.wording import counted


class Contents(NamedTuple):
    """What the tars hold.

    Attributes:
        cache: of the shards that are fetched.
        image_key: extension of the picture; empty to find it.
        samples: of each shard that has any.
        sizes: of these shards, in bytes.
        locations: where they are.
        digests: sha256 of those that were fetched.
        labels: of all samples.
        sights: colour and depth of all pictures, None where they cannot be told.
        losses: what was joined or left out, in sentences.
    """

    cache: ShardCache
    image_key: str
    samples: list[list[Sample]]
    sizes: list[int]
    locations: list[str]
    digests: list[str]
    labels: list[Label | None]
    sights: list[tuple[bool, bool] | None]
    losses: list[str]


def look_through(locations: Sequence[str], cache: ShardCache, image_key: str) -> Contents:
    """Read the headers of all tars, the labels, and the beginnings of the pictures.

    Fetched tars may leave the cache again on the way, where it cannot hold them all.

    Raises:
        DataError: a tar cannot be had or is damaged, or what should be a label is none.
    """
    contents = Contents(cache, image_key, [], [], [], [], [], [], [])
    for location in locations:
        tar = cache.get(location) if is_remote(location) else local_path(location)
        samples, rules = pictures_of(scan_tar(tar, location), image_key)
        contents.losses.extend(f"{Path(location).name}: {rule}" for rule in rules)
        if not samples:
            contents.losses.append(f"{Path(location).name}: holds no pictures and is left out")
            continue
        with open(tar, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest() if is_remote(location) else ""
            for sample in samples:
                contents.labels.append(label_of(file, sample, location))
                contents.sights.append(_sight(file, sample[picture_member(sample, image_key)]))
        contents.samples.append(samples)
        contents.sizes.append(tar.stat().st_size)
        contents.locations.append(location)
        contents.digests.append(digest)
        if digest:
            _rename_to_content(cache, location, digest)
            cache.make_room()
    return contents


def without_unlabelled(contents: Contents, found: Labelling) -> tuple[Contents, list[int]]:
    """The same without the few samples that have no label though the others have one."""
    gone = set(found.left_out)
    if not gone:
        return contents, found.numbers
    places = iter(range(len(found.numbers)))
    samples = []
    first = ""
    for shard in contents.samples:
        kept = []
        for sample in shard:
            if next(places) not in gone:
                kept.append(sample)
            else:
                first = first or printable(sample[0].name)
        samples.append(kept)
    sights = [sight for place, sight in enumerate(contents.sights) if place not in gone]
    rule = f"{counted(len(gone), 'sample')} without a label left out, such as {first}"
    numbers = [number for number in found.numbers if number >= 0]
    return contents._replace(samples=samples, sights=sights, losses=[*contents.losses, rule]), numbers


def _sight(file: io.BufferedReader, member: Member) -> tuple[bool, bool] | None:
    """Colour and depth of a picture, from its first bytes where they tell."""
    if member.size > PICTURE_BYTES:
        return None  # said when it is read
    file.seek(member.offset)
    start = file.read(min(HEADER_BYTES, member.size))
    if start.startswith(MAGIC):
        return array_sight(start)
    colour, deep = is_colour(start), is_deep(start)
    if colour is not None and deep is not None:
        return colour, deep
    return look(start + file.read(member.size - len(start)))


def read_picture(contents: Contents, place: int) -> bytes:
    """The stored bytes of a picture, fetched again if its tar has left the cache.

    Raises:
        BadPicture: it is larger than a picture may be.
        DataError: its tar cannot be had.
    """
    ends = np.cumsum([len(samples) for samples in contents.samples])
    shard = int(np.searchsorted(ends, place, side="right"))
    sample = contents.samples[shard][place - int(ends[shard])]  # counted from the shard's end
    member = sample[picture_member(sample, contents.image_key)]
    if member.size > PICTURE_BYTES:
        raise BadPicture(f"is {in_bytes(member.size)} large, and pictures may have {in_bytes(PICTURE_BYTES)}")
    location = contents.locations[shard]
    if not is_remote(location):
        return _bytes_of(local_path(location), member)
    tar = contents.cache.get(location, size=contents.sizes[shard], sha256=contents.digests[shard])
    data = _bytes_of(tar, member)
    contents.cache.make_room()
    return data


def _bytes_of(tar: Path, member: Member) -> bytes:
    with open(tar, "rb") as file:
        file.seek(member.offset)
        return file.read(member.size)


def _rename_to_content(cache: ShardCache, location: str, sha256: str) -> None:
    """From now on the cache knows the shard by its content."""
    target = cache.path(location, sha256)
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(cache.path(location), target)
