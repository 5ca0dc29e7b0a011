"""Global random states: what dropout, noise and initialisation draw from."""

import random
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


def seed_everything(seed: int, stream: str) -> None:
    """Seed Python, NumPy and torch (all devices) for one purpose; streams are independent of each other."""
    mixed = zlib.crc32(f"{seed}/{stream}".encode())
    random.seed(mixed)
    np.random.seed(mixed)
    torch.manual_seed(mixed)  # pyright: ignore[reportUnknownMemberType]


def random_states() -> dict[str, Any]:
    """Python's, NumPy's, torch's and the devices' random states, as tensors and plain values."""
    states = host_random_states()
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def host_random_states() -> dict[str, Any]:
    """Those of them that the host draws from."""
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)  # type: ignore[misc]
    version, internal, gauss = random.getstate()
    return {
        "python": {"version": version, "internal": list(internal), "gauss": gauss},
        "numpy": {
            "kind": kind,
            "keys": torch.from_numpy(np.asarray(keys, dtype=np.int64)),  # pyright: ignore[reportUnknownMemberType]
            "position": int(position),
            "has_gauss": int(has_gauss),
            "cached": float(cached),
        },
        "torch": torch.get_rng_state(),
    }


def restore_random_states(states: Mapping[str, Any]) -> None:
    restore_host_random_states(states)
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])


def restore_host_random_states(states: Mapping[str, Any]) -> None:
    python, numpy = states["python"], states["numpy"]
    random.setstate((python["version"], tuple(python["internal"]), python["gauss"]))
    keys = numpy["keys"].numpy().astype(np.uint32)
    np.random.set_state((numpy["kind"], keys, numpy["position"], numpy["has_gauss"], numpy["cached"]))
    torch.set_rng_state(states["torch"])
