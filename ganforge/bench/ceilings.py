"""What the device can do at best: a large matrix product and a large copy, measured here and now."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Ceilings:
    """Measured peaks of one device.

    Args:
        flops: floating-point operations a second of a matrix product in the precision of the run.
        copy_bytes: bytes a second, read and written counted, of a copy within the device's memory.
    """

    flops: float
    copy_bytes: float


def measure_ceilings(device: torch.device, dtype: torch.dtype) -> Ceilings:
    """Time both on random numbers, since zeros run faster than data does; the best of a few, as a peak is a maximum.

    Args:
        device: device to measure; a CPU is given smaller problems.
        dtype: type of the matrices.
    """
    return Ceilings(_matrix_product(device, dtype), _copy(device))


def _matrix_product(device: torch.device, dtype: torch.dtype) -> float:
    side = 8192 if device.type == "cuda" else 1024
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    out = torch.empty_like(left)
    return 2 * side**3 / _best(lambda: torch.mm(left, right, out=out), device)


def _copy(device: torch.device) -> float:
    count = 2**28 if device.type == "cuda" else 2**24  # larger than any cache
    source = torch.randn(count, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / _best(lambda: target.copy_(source), device)


def _best(work: Callable[[], object], device: torch.device, repeats: int = 7) -> float:
    for _ in range(2):
        work()
    times = []
    for _ in range(repeats):
        begin = now(device)
        work()
        times.append(now(device) - begin)
    return min(times)


def now(device: torch.device) -> float:
    """Wall-clock seconds, after waiting for the device to finish its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
