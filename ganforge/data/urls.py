"""Where shards may lie: paths, globs, braces, and urls."""

import glob
import hashlib
import itertools
import os
import re
import shlex
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ganforge.errors import DataError

OBJECT_SCHEMES = ("http", "https", "s3", "gs", "az", "abfs", "abfss")
_MOST = 1_000_000
_COMPRESSED = (".gz", ".tgz", ".bz2", ".xz", ".zst")


def is_remote(location: str) -> bool:
    """Whether it has to be fetched."""
    return location.startswith("pipe:") or _scheme(location) in OBJECT_SCHEMES


def _scheme(location: str) -> str:
    try:
        return urlsplit(location).scheme
    except ValueError:  # a bracket, as of an IPv6 address, that is not closed: then it is not a url
        return ""


def local_path(location: str) -> Path:
    """The file that a path or a `file:` url names."""
    if location.startswith("file:"):
        return Path(unquote(urlsplit(location).path)).expanduser()
    return Path(location).expanduser()


def is_compressed(location: str) -> bool:
    """Whether the name is that of a compressed tar, which cannot be indexed."""
    return location.lower().rstrip("'\" ").endswith(_COMPRESSED)


def expand(text: str) -> list[str]:
    """All shards that `text` names: braces `{000..099}`, globs, a folder of tars, or several joined by `::`.

    Raises:
        DataError: it names nothing, or a scheme nobody can fetch.
    """
    import braceexpand

    found: list[str] = []
    for part in text.split("::"):
        try:
            # Looked at beforehand, since braceexpand lists each range before it says the first name.
            ranges = [abs(int(last) - int(first)) for first, last in re.findall(r"(-?\d+)\.\.(-?\d+)", part)]
            if max(ranges, default=0) > _MOST:
                raise ValueError(f"a range of {max(ranges):.3g} numbers")
            locations = list(itertools.islice(braceexpand.braceexpand(part), _MOST + 1))
        except (ValueError, OverflowError, RecursionError) as error:  # or a brace that is not closed
            raise DataError(f"{part}: cannot be expanded: {error}") from None
        if len(locations) + len(found) > _MOST:
            raise DataError(f"{part}: names more than {_MOST:,} shards; is a digit too many in its braces?")
        if part.startswith("pipe:"):
            found += locations
            continue
        for location in locations:
            scheme = _scheme(location)
            if is_remote(location):
                found.append(location)
            elif scheme and scheme != "file" and "://" in location:
                known = ", ".join(OBJECT_SCHEMES)
                raise DataError(f"{location}: nobody here can fetch '{scheme}:'; use {known}, or pipe:")
            else:
                found += _local(location)
    if not found:
        raise DataError(f"{text}: names no shards")
    return found


def _local(location: str) -> list[str]:
    path = local_path(location)
    if path.is_dir():
        names = sorted(str(tar) for tar in path.iterdir() if re.search(r"\.(tar|tgz|tar\.\w+)$", tar.name))
        if not names:
            command = f"ganforge data pack {shlex.quote(location)} data/mine --size 64"
            raise DataError(f"{location}: holds neither a dataset.json nor tars; of pictures `{command}` makes both")
        return names
    if glob.has_magic(str(path)) and not path.exists():
        names = sorted(glob.glob(str(path)))
        if not names:
            raise DataError(f"{location}: no file matches")
        return names
    if not path.exists():
        raise DataError(f"{location}: there is no such file or folder; is the disk mounted?")
    return [str(path)]


def cache_key(location: str, sha256: str = "") -> str:
    """Name of a shard in the cache: its content's hash if that is known, else a hash of where it lies."""
    return sha256 or hashlib.sha256(f"url {location}".encode()).hexdigest()


def safe_name(number: int, location: str) -> str:
    """A plain file name for messages and indexes, made from a location."""
    last = re.split(r"[/\s]", location.rstrip("/'\" "))[-1].split("?")[0]
    stem = re.sub(r"[^A-Za-z0-9_.+=-]", "_", os.path.splitext(last)[0]).lstrip(".-+=")
    return f"{number:06d}-{stem or 'shard'}.tar"
