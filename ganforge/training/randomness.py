"""Global random states: what dropout, noise and initialisation draw from."""

import random
import zlib

import numpy as np
import torch


def seed_everything(seed: int, stream: str) -> None:
    """Seed Python, NumPy and torch (all devices) for one purpose; streams are independent of each other."""
    mixed = zlib.crc32(f"{seed}/{stream}".encode())
    random.seed(mixed)
    np.random.seed(mixed)
    torch.manual_seed(mixed)
