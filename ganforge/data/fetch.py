"""Bringing one file here: whole, checked, and never half under its name.

Every attempt has a limit on silence, not on time: a slow shard may take as long as it flows, a
server that hangs or trickles is given up. All attempts together fail within about a minute. No attempt
takes more bytes than were expected or there is room for.
"""

import asyncio
import hashlib
import io
import logging
import os
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from ganforge.data.command import AttemptFailed, run_command
from ganforge.data.limits import in_bytes
from ganforge.data.urls import is_remote, local_path
from ganforge.errors import DataError
from ganforge.redaction import without_credentials

_log = logging.getLogger(__name__)
_PIECE = 2**20
_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Patience:
    """How long to keep trying.

    Args:
        attempts: how often a file is asked for.
        silence: seconds without a byte after which an attempt is given up.
        pause: seconds before the second attempt; doubles each time.
        slowest: bytes a second, over twice the silence, below which an attempt is given up too.
    """

    attempts: int = 4
    silence: float = 8.0
    pause: float = 0.5
    slowest: float = 1000.0


class _Sink:
    """Takes the pieces of one attempt: writes and hashes them, and stops what is too much or too slow.

    Args:
        location: for messages.
        write: where pieces go.
        size: expected bytes; 0 if unknown.
        limit: most bytes that are taken; 0 for no limit.
        patience: limits on time.
    """

    def __init__(
        self, location: str, write: Callable[[Any], object], size: int, limit: int, patience: Patience
    ) -> None:
        self._location, self._write = location, write
        self._size, self._limit, self._patience = size, limit, patience
        self._digest = hashlib.sha256()
        self.received = 0
        self._since, self._mark = time.monotonic(), 0

    def __call__(self, piece: Any) -> None:
        self.received += len(piece)
        self.announced(self.received)
        self._write(piece)
        self._digest.update(piece)
        seconds = time.monotonic() - self._since
        if seconds > 2 * self._patience.silence:
            if self.received - self._mark < self._patience.slowest * seconds:
                raise AttemptFailed(f"only {self.received - self._mark} bytes came in {seconds:.0f} seconds")
            self._since, self._mark = time.monotonic(), self.received

    def announced(self, size: int) -> None:
        """Refuse a file of `size` bytes, announced or received, if it is too large.

        Raises:
            DataError: they are more than there is room for.
        """
        if self._size and size > self._size:
            raise AttemptFailed(f"more than the expected {self._size} bytes come")
        if self._limit and size > self._limit:
            raise DataError(
                f"{self._location}: is larger than the {in_bytes(self._limit)} that there is room for; "
                "raise data.cache_limit_gb, or check the source"
            )

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


def fetch(
    location: str, target: Path, *, size: int = 0, limit: int = 0, sha256: str = "", patience: Patience | None = None
) -> str:
    """Bring a file to `target`, which appears only when it is whole.

    Args:
        location: url, `pipe:` command, or path.
        target: where it goes; a temporary file beside it is used on the way.
        size: expected bytes; 0 if unknown.
        limit: most bytes that are taken if the size is unknown; 0 for no limit.
        sha256: expected hash; empty if unknown.
        patience: limits.

    Returns:
        the sha256 of what came.

    Raises:
        DataError: it does not exist, is too large, or did not come in all attempts.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}.tmp")

    def attempt(patience: Patience) -> str:
        with open(temporary, "wb") as file:
            sink = _Sink(location, file.write, size, 0 if size else limit, patience)
            _transfer(location, sink, patience)
        return _checked(sink, size, sha256)

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        found = _insist(location, attempt, patience or Patience())
        os.replace(temporary, target)
        return found
    except OSError as error:
        raise DataError(f"{location}: cannot be stored in {target.parent}: {error.strerror or error}") from error
    finally:
        if target.parent.is_dir():
            temporary.unlink(missing_ok=True)


def fetch_bytes(location: str, limit: int, *, sha256: str = "", patience: Patience | None = None) -> bytes:
    """A small file as bytes; see `fetch`."""

    def attempt(patience: Patience) -> bytes:
        buffer = io.BytesIO()
        sink = _Sink(location, buffer.write, 0, limit, patience)
        _transfer(location, sink, patience)
        _checked(sink, 0, sha256)
        return buffer.getvalue()

    return _insist(location, attempt, patience or Patience())


def _insist(location: str, attempt: Callable[[Patience], _Found], patience: Patience) -> _Found:
    """What the first attempt that succeeds gives."""
    problem = ""
    for number in range(patience.attempts):
        if number:
            time.sleep(patience.pause * 2 ** (number - 1))
            what = without_credentials(f"{location}: {problem}")
            _log.warning("%s; attempt %d of %d", what, number + 1, patience.attempts)
        try:
            return attempt(patience)
        except AttemptFailed as error:
            problem = str(error)
    raise DataError(f"{location}: gave up after {patience.attempts} attempts: {problem}")


def _checked(sink: _Sink, size: int, sha256: str) -> str:
    if size and sink.received != size:
        raise AttemptFailed(f"{sink.received} bytes came instead of {size}")
    if sha256 and sink.sha256 != sha256:
        raise AttemptFailed(f"its sha256 is {sink.sha256[:12]}..., not {sha256[:12]}...: wrong bytes")
    return sink.sha256


def _run(download: Coroutine[Any, Any, None]) -> None:
    """To its end, in a thread of its own where this one has a running event loop, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(download)
        return
    with ThreadPoolExecutor(max_workers=1) as beside:
        beside.submit(asyncio.run, download).result()


def _transfer(location: str, sink: _Sink, patience: Patience) -> None:
    if location.startswith("pipe:"):
        run_command(location.removeprefix("pipe:"), sink, patience.silence)
    elif is_remote(location):
        _run(_download(location, sink, patience))
    else:
        try:
            source = open(local_path(location), "rb")  # noqa: SIM115 - closed below
        except OSError as error:
            raise DataError(f"{location}: cannot be read: {error.strerror}") from error
        with source:
            while piece := source.read(_PIECE):
                sink(piece)


async def _download(location: str, sink: _Sink, patience: Patience) -> None:
    try:
        import obstore
        from obstore import exceptions
        from obstore.store import from_url
    except ImportError:
        raise DataError(f"{location}: needs obstore; pip install 'ganforge[remote]'") from None
    parts = urlsplit(location)
    if parts.query:
        raise DataError(f"{location}: urls with a query cannot be fetched; use \"pipe:curl -sfL '{location}'\"")
    folder, _, name = location.rpartition("/")
    try:
        # Attempts and pauses are counted here, so the library is told to make only one.
        store = from_url(
            folder,
            client_options={"allow_http": True, "connect_timeout": timedelta(seconds=5), "timeout": timedelta(days=1)},
            retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=1)},
        )
        answer = await asyncio.wait_for(obstore.get_async(store, name), patience.silence)
        expected = int(answer.meta["size"])
        sink.announced(expected)
        # Pieces as they come: waiting for large ones would take a slow server for a silent one.
        pieces = answer.stream(min_chunk_size=1).__aiter__()
        while True:
            try:
                piece = await asyncio.wait_for(anext(pieces), patience.silence)
            except StopAsyncIteration:
                break
            sink(piece)
        if sink.received != expected:
            raise AttemptFailed(f"the body was cut short after {sink.received} of {expected} bytes")
    except TimeoutError:
        raise AttemptFailed(f"nothing came for {patience.silence:g} seconds") from None
    except (exceptions.NotFoundError, FileNotFoundError):
        raise DataError(f"{location}: does not exist (404); is the url right?") from None
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError, PermissionError):
        raise DataError(f"{location}: access is denied; give credentials in the environment") from None
    except exceptions.BaseError as error:
        raise AttemptFailed(_short(error)) from None
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise AttemptFailed(_short(error)) from None


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) < 200 else text[:200] + "..."
