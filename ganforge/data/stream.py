"""Shards that have no index or no end, as a dataset: its first sample says what all look like."""

import hashlib
import json
import lzma
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ganforge.data.dataset import Dataset, Unreadable
from ganforge.data.decompress import decompressed
from ganforge.data.foreign import ReadOptions
from ganforge.data.npy import array_from
from ganforge.data.pictures import BadPicture, Fit, from_array, open_picture, to_pixels, values_in
from ganforge.data.plainjson import parse_json
from ganforge.data.shards.open import picture_member
from ganforge.data.shards.tarindex import Member
from ganforge.data.tarweight import Weight
from ganforge.data.urls import is_remote
from ganforge.data.values import extremes, range_of
from ganforge.errors import DataError
from ganforge.spec import DataSpec

# tarfile reads headers that follow each other by recursion, and numbers in pax records by int().
_BROKEN = (OSError, EOFError, ValueError, LookupError, RecursionError, tarfile.TarError, zlib.error, lzma.LZMAError)


class StreamDataset(Dataset):
    """Shards that are only ever read from front to back.

    Args:
        where: as the recipe names them.
        urls: of the shards.
        options: see `foreign.ReadOptions`.

    Raises:
        DataError: the first sample cannot be read, or has values of 8 to 14 bits in 16.
    """

    codec = "stream"
    is_streamable = True
    shard_sizes = ()

    def __init__(self, where: str, urls: Sequence[str], options: ReadOptions) -> None:
        self.where = where
        self._urls = list(urls)
        self.image_key = options.image_key
        first = next(samples_of(iter(urls[:1]), where), None)
        if first is None:
            raise DataError(f"{urls[0]}: holds no samples")
        pixels = _first_pixels(first, options, urls[0])
        self.losses = (*_losses_of_depth(first, options, urls[0]), *_losses_of_labels(first))
        self.spec = DataSpec((options.channels or pixels.shape[2], *pixels.shape[:2]), has_alpha=options.channels == 4)
        self.fit = Fit(
            self.spec.height, self.spec.width, options.fit, self.spec.channels, has_alpha=self.spec.has_alpha
        )
        # The content is unknown, so the digest can only stand for where it comes from.
        self.digest = hashlib.sha256(json.dumps([list(urls), options]).encode()).hexdigest()

    @property
    def stream_urls(self) -> list[str]:
        return self._urls

    def read(self, ids: np.ndarray, out: np.ndarray) -> dict[int, Unreadable]:
        raise DataError(f"{self.where}: a stream has no numbered samples; pack it with `ganforge data pack`")


def _first_pixels(sample: dict[str, Any], options: ReadOptions, url: str) -> np.ndarray:
    key = picture_key(sample, options.image_key)
    try:
        if key is None:
            raise BadPicture(f"has no picture, only {', '.join(k for k in sample if k[0] != '_')}")
        fit = options.probe
        if key.endswith("npy"):
            return from_array(array_from(sample[key]), fit)
        return to_pixels(open_picture(sample[key]), fit)
    except (BadPicture, ValueError) as error:
        raise DataError(f"{url}: {sample['__key__']}: {error}; set data.image_key") from None


def _losses_of_depth(sample: dict[str, Any], options: ReadOptions, url: str) -> list[str]:
    """What its first picture says of more than 8 bits: an index looks at many for their range, a stream cannot."""
    key = picture_key(sample, options.image_key)
    assert key is not None
    try:
        values = extremes(values_in(sample[key]))
    except BadPicture:  # of a form whose lower bits cannot be had: the upper ones are all that there is
        return []
    if not values.size or values.dtype in (np.uint8, np.bool_):
        return []
    found = range_of([values])
    if found is not None and found.high < 0xFFFF and values.max() > 0:
        raise DataError(
            f"{url}: {sample['__key__']}: has values up to {values.max():,} in 16 bits, of which a stream keeps the "
            "upper 8: nearly black; pack it with `ganforge data pack`, which finds the range (or takes it from "
            "`ganforge data pack --range LOW,HIGH`)"
        )
    return [
        "more than 8 bits a channel: values 0..65535 become 0..255; a stream takes no other range, and "
        "`ganforge data pack` finds it (or takes it from `ganforge data pack --range LOW,HIGH`)"
    ]


def _losses_of_labels(sample: dict[str, Any]) -> list[str]:
    """What its labels are that a stream does not read: it knows the numbers in `.cls`, and cannot number names."""
    remedy = "a stream takes numbers in .cls only, so there are no labels; `ganforge data pack` reads them"
    if "cls" in sample:
        text = bytes(sample["cls"][:40]).decode(errors="replace").strip()
        try:
            int(text)
        except ValueError:
            return [f".cls holds {text!r}: {remedy}"]
    elif "json" in sample:
        try:
            table = parse_json(sample["json"])
        except ValueError:
            return []
        if isinstance(table, dict) and (named := [key for key in ("label", "class", "cls") if key in table]):
            return [f".json holds '{named[0]}': {remedy}"]
    return []


def picture_key(sample: dict[str, Any], image_key: str) -> str | None:
    """Extension of the picture among the members of a sample, or None; `image_key` empty to find it."""
    members = [Member(name, 0, 0, "") for name in sample if not name.startswith("__")]
    number = picture_member(members, image_key)
    return members[number].extension if number >= 0 else None


def samples_of(urls: Iterator[str], where: str) -> Iterator[dict[str, Any]]:
    """Undecoded samples; a damaged shard is an error, never a silent end."""
    from webdataset.tariterators import group_by_keys

    def refuse(error: Exception) -> bool:
        raise DataError(f"{where}: samples cannot be put together: {error}") from error

    return group_by_keys(_members(urls), handler=refuse)


def _members(urls: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Files of the tars as webdataset's stages hand them on."""
    for url in urls:
        yield from _members_of(url)


def _members_of(url: str) -> Iterator[dict[str, Any]]:
    """Files of one tar, whose end mark is looked for: webdataset's own stage takes one that stops early for whole."""
    from webdataset.gopen import gopen

    ended = False
    weight = Weight(url)

    class Header(tarfile.TarInfo):
        @classmethod
        def frombuf(cls, buf: Any, encoding: Any, errors: Any) -> Any:
            nonlocal ended
            ended = ended or (len(buf) == tarfile.BLOCKSIZE and not any(buf))
            info = super().frombuf(buf, encoding, errors)
            weight.check_header(info)
            return info

    try:
        stream: Any = gopen(_gopen_url(url))
        with stream, tarfile.open(fileobj=decompressed(stream), mode="r|", tarinfo=Header) as tar:
            for info in tar:
                weight.add(info)
                if info.isreg():
                    file = tar.extractfile(info)
                    assert file is not None
                    yield {"fname": info.name, "data": file.read(), "__url__": url}
                tar.members.clear()  # type: ignore[attr-defined] # or the list grows with every file
    except _BROKEN as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise DataError(f"{url}: the shard broke off: {text}; check the source") from error
    if not ended:
        raise DataError(f"{url}: the shard broke off: it has no end mark; check the source")


def _gopen_url(url: str) -> str:
    if is_remote(url) and not url.startswith(("http", "pipe:", "gs:")):
        raise DataError(f"{url}: the stock pipeline cannot open it; use \"pipe:aws s3 cp '{url}' -\" or similar")
    return url
