"""Weights of published feature extractors: found, fetched once, and checked before they are opened."""

import contextlib
import hashlib
import pickle
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from ganforge.errors import GanforgeError
from ganforge.files import replaced

TIMEOUT_S = 20


@dataclass(frozen=True)
class Published:
    """A weights file as its authors published it.

    Args:
        name: name of the file.
        url: address that it is published at.
        sha256: its hash, in hex.
    """

    name: str
    url: str
    sha256: str


def find_weights(published: Published, cache_dir: Path, path: str | None, sha256: str | None) -> tuple[Path, str]:
    """The file with an extractor's weights and its sha256, checked.

    Looked for in `extractors/` of the cache folder and where torch.hub keeps its downloads; else fetched.

    Args:
        published: the original.
        cache_dir: the cache folder.
        path: a file that the user named, or None to look for the original.
        sha256: hash that the file must have, if it is not the original.

    Raises:
        GanforgeError: the file is missing and cannot be fetched, or its hash is wrong.
    """
    if path is not None:
        named = Path(path).expanduser()
        if not named.is_file():
            raise GanforgeError(f"weights: {named} is not a file; {_remedy(published, named)}")
        return named, _checked(named, sha256 or published.sha256, "or, if it should be another, give its sha256")
    for candidate in _places(published, cache_dir):
        if candidate.is_file():
            return candidate, _checked(candidate, published.sha256, "remove it")
    place = _places(published, cache_dir)[0]
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{place}.lock"):  # ranks that start together: one fetches, the others wait
        if not place.is_file():
            _fetch(published, place)
    return place, _checked(place, published.sha256, "remove it")


def is_here(published: Published, cache_dir: Path) -> bool:
    """Whether an original is on this machine, so that nothing need be fetched."""
    return any(place.is_file() for place in _places(published, cache_dir))


def _places(published: Published, cache_dir: Path) -> tuple[Path, Path]:
    """Where an original is looked for, and first where it is fetched to."""
    return (
        cache_dir / "extractors" / published.name,
        Path(torch.hub.get_dir()) / "checkpoints" / published.name,
    )


def load_weights(path: Path) -> dict[str, Any]:
    """The tensors of a `.pth` file. Nothing but tensors and plain containers is ever built from it.

    Raises:
        GanforgeError: it holds something else, or is damaged.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0]
        raise GanforgeError(f"{path}: cannot be read as plain weights: {reason}") from error


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _checked(path: Path, expected: str, remedy: str) -> str:
    found = sha256_of(path)
    if found != expected.lower():
        raise GanforgeError(f"{path}: its sha256 is {found}, not {expected}; use the file with that sha256, {remedy}")
    return found


def _fetch(published: Published, place: Path) -> None:
    try:
        with (
            contextlib.closing(urllib.request.urlopen(published.url, timeout=TIMEOUT_S)) as source,
            replaced(place) as temporary,
        ):
            digest = hashlib.sha256()
            with temporary.open("wb") as target:
                while block := source.read(1 << 20):
                    digest.update(block)
                    target.write(block)
            if digest.hexdigest() != published.sha256:
                raise GanforgeError(f"{published.url}: the download has another sha256, {digest.hexdigest()}")
    except (OSError, urllib.error.URLError) as error:
        reason = getattr(error, "reason", error)
        raise GanforgeError(
            f"{published.name} is not here and could not be fetched ({reason}); {_remedy(published, place)}"
        ) from error


def _remedy(published: Published, place: Path) -> str:
    return f"put {published.url} at {place} (sha256 {published.sha256})"
