"""Figures gathered every step and looked at rarely: sums stay on the device until the log is due."""

from typing import cast

import torch
from accelerate import Accelerator
from torch import Tensor


class Meters:
    """Running means of scalars. `add` never waits for the device; `reduce` does, once, for all ranks together."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, prefix: str, terms: dict[str, Tensor]) -> None:
        for name, value in terms.items():
            key = f"{prefix}/{name}"
            if key in self._sums:
                self._sums[key] += value
                self._counts[key] += 1
            else:
                self._sums[key] = value.to(torch.float32, copy=True)
                self._counts[key] = 1

    def reduce(self, accelerator: Accelerator) -> dict[str, float]:
        """Means over the interval and over all ranks; starts the next interval."""
        keys = sorted(self._sums)
        if not keys:
            return {}
        means = torch.stack([self._sums[key] / self._counts[key] for key in keys])
        means = cast(Tensor, accelerator.reduce(means, reduction="mean"))
        self.clear()
        return dict(zip(keys, means.tolist(), strict=True))

    def clear(self) -> None:
        """Start the next interval."""
        self._sums.clear()
        self._counts.clear()

    def state_dict(self) -> dict[str, dict[str, Tensor | int]]:
        return {"sums": dict(self._sums), "counts": dict(self._counts)}

    def load_state_dict(self, state: dict[str, dict[str, Tensor | int]]) -> None:
        self._sums = {key: torch.as_tensor(value).to(self._device) for key, value in state["sums"].items()}
        self._counts = {key: int(value) for key, value in state["counts"].items()}
