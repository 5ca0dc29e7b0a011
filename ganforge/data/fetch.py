"""Bringing one file here: whole, checked, and never half under its name.

Every attempt has a limit on silence, not on time: a slow shard may take as long as it flows, a
server that hangs is given up. All attempts together fail well within a minute.
"""

import asyncio
import hashlib
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ganforge.data.urls import is_remote, local_path
from ganforge.errors import DataError

_log = logging.getLogger(__name__)
_PIECE = 2**20


@dataclass(frozen=True)
class Patience:
    """How long to keep trying.

    Args:
        attempts: how often a file is asked for.
        silence: seconds without a byte after which an attempt is given up.
        pause: seconds before the second attempt; doubles each time.
    """

    attempts: int = 4
    silence: float = 8.0
    pause: float = 0.5


class _Retry(Exception):
    """This attempt failed, another may succeed."""


def fetch(location: str, target: Path, *, size: int = 0, sha256: str = "", patience: Patience | None = None) -> str:
    """Bring a file to `target`, which appears only when it is whole.

    Args:
        location: url, `pipe:` command, or path.
        target: where it goes; a temporary file beside it is used on the way.
        size: expected bytes; 0 if unknown.
        sha256: expected hash; empty if unknown.
        patience: limits.

    Returns:
        the sha256 of what came.

    Raises:
        DataError: it does not exist, or did not come in all attempts.
    """
    patience = patience or Patience()
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    problem = ""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(patience.attempts):
            if attempt:
                time.sleep(patience.pause * 2 ** (attempt - 1))
                _log.warning("%s: %s; attempt %d of %d", location, problem, attempt + 1, patience.attempts)
            try:
                found = _attempt(location, temporary, patience)
                got = temporary.stat().st_size
                if size and got != size:
                    raise _Retry(f"{got} bytes came instead of {size}")
                if sha256 and found != sha256:
                    raise _Retry(f"its sha256 is {found[:12]}..., not {sha256[:12]}...: wrong bytes")
            except _Retry as error:
                problem = str(error)
                continue
            os.replace(temporary, target)
            return found
    except OSError as error:
        raise DataError(f"{location}: cannot be stored in {target.parent}: {error.strerror or error}") from error
    finally:
        if target.parent.is_dir():
            temporary.unlink(missing_ok=True)
    raise DataError(f"{location}: gave up after {patience.attempts} attempts: {problem}")


def fetch_bytes(location: str, *, sha256: str = "", patience: Patience | None = None) -> bytes:
    """A small file as bytes; see `fetch`."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="ganforge-") as folder:
        target = Path(folder) / "file"
        fetch(location, target, sha256=sha256, patience=patience)
        return target.read_bytes()


def _attempt(location: str, temporary: Path, patience: Patience) -> str:
    digest = hashlib.sha256()
    with open(temporary, "wb") as file:

        def write(piece: Any) -> None:
            file.write(piece)
            digest.update(piece)

        if location.startswith("pipe:"):
            _run_command(location, write, patience)
        elif is_remote(location):
            asyncio.run(_download(location, write, patience))
        else:
            try:
                with open(local_path(location), "rb") as source:
                    while piece := source.read(_PIECE):
                        write(piece)
            except OSError as error:
                raise DataError(f"{location}: cannot be read: {error.strerror}") from error
    return digest.hexdigest()


async def _download(location: str, write: Callable[[Any], None], patience: Patience) -> None:
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
        expected, got = int(answer.meta["size"]), 0
        # Pieces as they come: waiting for large ones would take a slow server for a silent one.
        pieces = answer.stream(min_chunk_size=1).__aiter__()
        while True:
            try:
                piece = await asyncio.wait_for(anext(pieces), patience.silence)
            except StopAsyncIteration:
                break
            got += len(piece)
            write(piece)
        if got != expected:
            raise _Retry(f"the body was cut short after {got} of {expected} bytes")
    except TimeoutError:
        raise _Retry(f"nothing came for {patience.silence:g} seconds") from None
    except (exceptions.NotFoundError, FileNotFoundError):
        raise DataError(f"{location}: does not exist (404); is the url right?") from None
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError, PermissionError):
        raise DataError(f"{location}: access is denied; give credentials in the environment") from None
    except exceptions.BaseError as error:
        raise _Retry(_short(error)) from None
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise _Retry(_short(error)) from None


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) < 200 else text[:200] + "..."


def _run_command(location: str, write: Callable[[Any], None], patience: Patience) -> None:
    """The output of a shell command; its whole process group dies when it falls silent."""
    command = location.removeprefix("pipe:")
    process = subprocess.Popen(
        ["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    silent = threading.Event()
    heard = time.monotonic()

    def watch() -> None:
        while process.poll() is None:
            if time.monotonic() - heard > patience.silence:
                silent.set()
                os.killpg(process.pid, signal.SIGKILL)
                return
            time.sleep(0.1)

    errors: list[bytes] = []
    drain = threading.Thread(target=lambda: errors.append(process.stderr.read()), daemon=True)  # type: ignore[union-attr]
    watcher = threading.Thread(target=watch, daemon=True)
    drain.start()
    watcher.start()
    try:
        while piece := os.read(process.stdout.fileno(), _PIECE):
            heard = time.monotonic()
            write(piece)
    finally:
        heard = min(heard, time.monotonic())
        code = _end(process)
        watcher.join()
        process.stdout.close()
    if silent.is_set():
        raise _Retry(f"nothing came for {patience.silence:g} seconds")
    if code:
        drain.join(1)
        said = b" ".join(errors).decode(errors="replace").strip().splitlines()
        raise _Retry(f"the command ended with code {code}{': ' + said[-1][:160] if said else ''}")


def _end(process: "subprocess.Popen[bytes]") -> int:
    try:
        return process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.wait()
