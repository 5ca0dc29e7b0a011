"""A network that no memory holds is refused before any of it is allocated, whoever wrote the component."""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class TooLargeError(ValueError):
    """What is being built does not fit."""


@contextmanager
def at_most(num_bytes: int, limit: str) -> Iterator[None]:
    """Within it, new tensors may take so many bytes together; the one that would not fit is not made.

    Tensors are watched where torch makes them, so a plugin's network counts as ours do, is built once, and starts from
    the same weights. It costs some microseconds a tensor.

    Args:
        num_bytes: of all that is made.
        limit: what these are, in words.

    Raises:
        TooLargeError: with what is wanted and what there is.
    """
    try:
        with _Budget(num_bytes, limit):
            yield
    except RuntimeError as error:  # of an operator that is not told its size
        if "can't allocate memory" not in str(error):
            raise
        raise TooLargeError("is too large: the system has no memory for it") from error


class _Budget(TorchDispatchMode):
    def __init__(self, num_bytes: int, limit: str) -> None:
        super().__init__()
        self._most = num_bytes
        self._limit = limit
        self._taken = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Networks are not built inside of compiled code; and the compiler takes a second to import."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        if _makes_a_tensor(func) and torch.device(kwargs.get("device") or "cpu").type != "meta":
            self._taken += _size(func, args, kwargs)
            if self._taken > self._most:
                raise TooLargeError(
                    f"is too large: it takes {in_words(self._taken)} or more; {in_words(self._most)} is {self._limit}"
                )
        return func(*args, **kwargs)


@cache
def _makes_a_tensor(func: Any) -> bool:
    """Whether an operator is told a size and a device: `empty`, `zeros`, `randn`, `arange` and their kin."""
    names = {argument.name for argument in func._schema.arguments}
    return "device" in names and func._schema.name.rpartition("::")[2] not in ("_to_copy", "_pin_memory")


def _size(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> float:
    """Bytes of what the operator would make."""
    dry = {**kwargs, "device": torch.device("meta")}
    dry.pop("generator", None)
    if "pin_memory" in dry:
        dry["pin_memory"] = False
    try:
        made = func(*args, **dry)
        return made.numel() * made.element_size()
    except (RuntimeError, OverflowError, NotImplementedError):  # more than 64 bits count, or no such kernel
        sizes = args[0] if args and isinstance(args[0], list | tuple) else ()
        return math.prod(size for size in sizes if isinstance(size, int)) * 4.0


def machine_memory() -> int:
    """Bytes of main memory that this process may use: the machine's, or less where its cgroup says so."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(path).read_text().strip()
        except OSError:
            continue
        if text.isdecimal():
            found.append(int(text))
    return min(found)


def in_words(num_bytes: float) -> str:
    """`34.4 GB`."""
    for unit in ("bytes", "kB", "MB", "GB", "TB", "PB"):
        if num_bytes < 1000:
            return f"{num_bytes:.3g} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:.3g} EB"
