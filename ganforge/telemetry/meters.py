"""Figures gathered every step and looked at rarely: what a step gives stays on the device until the log is due."""

from collections import defaultdict
from collections.abc import Mapping
from typing import cast

import torch
from accelerate import Accelerator
from torch import Tensor

PENDING = 64
"""Calls of `add` whose values are kept as they come, and then added up together: an operation on one number costs the
host as much as one on a hundred."""


class Meters:
    """Running means of scalars. `add` never waits for the device; `reduce` does, once, for all ranks together.

    The sums are those of adding each value when it comes, bit for bit.

    Args:
        device: where the values lie.
        has_accuracy: whether a logit above 0 means that the discriminator takes a sample for real.
    """

    def __init__(self, device: torch.device, *, has_accuracy: bool = True) -> None:
        self._device = device
        self._has_accuracy = has_accuracy
        self._pending = 0
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._scalars: defaultdict[str, list[Tensor]] = defaultdict(list)
        self._logits: defaultdict[tuple[str, str], list[Tensor]] = defaultdict(list)

    def add(self, prefix: str, terms: Mapping[str, Tensor], logits: Mapping[str, Tensor] | None = None) -> None:
        """Take a step's values; none of them may be written to afterwards.

        Args:
            prefix: whose they are.
            terms: detached scalars by name.
            logits: of the discriminator, detached, `(batch,)`, by what it judged: "real" or "fake". Figures are their
                mean, `logits_real`, and the share that is right, `accuracy_real`.
        """
        for name, value in terms.items():
            self._scalars[f"{prefix}/{name}"].append(value)
        if logits:
            for judged, batch in logits.items():
                self._logits[prefix, judged].append(batch)
        self._pending += 1
        if self._pending >= PENDING:
            self._settle()

    def reduce(self, accelerator: Accelerator) -> dict[str, float]:
        """Means over the interval and over all ranks; starts the next interval."""
        self._settle()
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
        self._scalars.clear()
        self._logits.clear()
        self._pending = 0

    def state_dict(self) -> dict[str, dict[str, Tensor | int]]:
        self._settle()
        return {"sums": {key: total.clone() for key, total in self._sums.items()}, "counts": dict(self._counts)}

    def load_state_dict(self, state: dict[str, dict[str, Tensor | int]]) -> None:
        self.clear()
        self._sums = {key: torch.as_tensor(value).to(self._device) for key, value in state["sums"].items()}
        self._counts = {key: int(value) for key, value in state["counts"].items()}

    def _settle(self) -> None:
        """Add up what is pending."""
        columns = {key: torch.stack(values) for key, values in self._scalars.items()}
        for (prefix, judged), batches in self._logits.items():
            rows = torch.stack(batches).float().flatten(1)
            columns[f"{prefix}/logits_{judged}"] = rows.mean(1)
            if self._has_accuracy:
                is_right = rows > 0 if judged == "real" else rows < 0
                columns[f"{prefix}/accuracy_{judged}"] = is_right.mean(1, dtype=torch.float32)
        self._scalars.clear()
        self._logits.clear()
        self._pending = 0
        by_length: defaultdict[int, list[str]] = defaultdict(list)
        for key, column in columns.items():
            by_length[len(column)].append(key)
        for length, keys in by_length.items():
            table = torch.stack([columns[key].to(self._device, torch.float32) for key in keys], dim=1)
            sums = torch.stack([self._sums.get(key, table.new_zeros(())) for key in keys])
            for row in table:  # one after the other: a sum over all at once rounds otherwise
                sums += row
            self._sums.update(zip(keys, sums, strict=True))
            self._counts.update({key: self._counts.get(key, 0) + length for key in keys})
