"""Another rank has died: one line instead of a backend's error."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed

from ganforge.errors import LaunchError


@contextmanager
def lost_ranks_named(rank: int) -> Iterator[None]:
    """Say in one line that another process has died, which backends report as an error of the connection.

    Args:
        rank: of this process.

    Raises:
        LaunchError: a collective failed under the body.
    """
    try:
        yield
    except RuntimeError as error:
        if not _is_lost_connection(error):
            raise
        reason = " ".join(str(error).split())[:120]
        raise LaunchError(
            f"rank {rank} stops, since another rank has died or hangs; the cause is in that one's output ({reason})"
        ) from error


def _is_lost_connection(error: RuntimeError) -> bool:
    text = str(error).lower()
    signs = ("connection closed by peer", "connection reset by peer", "timed out waiting", "broken pipe", "gloo")
    return isinstance(error, torch.distributed.DistBackendError) or any(sign in text for sign in signs)
