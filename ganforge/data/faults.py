"""Samples that cannot be read: each keeps its slot, is counted, and too many stop the run."""

import threading
from collections.abc import Iterable

import numpy as np

from ganforge.data.dataset import Dataset, Unreadable
from ganforge.errors import DataError

_ALWAYS_ALLOWED = 8
_ATTEMPTS = 32


class Faults:
    """Reads samples of a dataset and replaces those that cannot be read.

    A replacement is chosen from the id of the sample alone, so every rank, run and reader takes the
    same one. Safe to use from several threads.

    Args:
        dataset: to read from.
        max_corrupt: share of the samples seen so far that may be unreadable; a handful always may,
            unless it is 0.
    """

    def __init__(self, dataset: Dataset, max_corrupt: float) -> None:
        self.dataset = dataset
        self.max_corrupt = max_corrupt
        self.problems: dict[int, Unreadable] = {}
        self.replaced: dict[int, int] = {}
        self._seen = 0
        self._lock = threading.Lock()

    def read(self, ids: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Read samples into the rows of `out`.

        Returns:
            the ids that were read in the end, int64 `(len(ids),)`: labels must be those of them.

        Raises:
            DataError: too many are unreadable.
        """
        actual = self.substitute(ids)
        bad = self.dataset.read(actual, out)
        with self._lock:
            self._seen += len(ids)
        if not bad:
            return actual
        actual = actual.copy()
        for row, problem in bad.items():
            actual[row] = self._replace(int(ids[row]), problem, out[row : row + 1])
        return actual

    def substitute(self, ids: np.ndarray) -> np.ndarray:
        """Ids with those known to be unreadable already exchanged."""
        if not self.replaced or not any(sample in self.replaced for sample in ids.tolist()):
            return ids
        return np.array([self.replaced.get(sample, sample) for sample in ids.tolist()], dtype=np.int64)

    def _replace(self, sample: int, problem: Unreadable, row: np.ndarray) -> int:
        self.add([(sample, problem)])
        for attempt in range(1, _ATTEMPTS + 1):
            other = replacement(sample, attempt, len(self.dataset))
            if not self.dataset.read(np.array([other]), row):
                with self._lock:
                    self.replaced[sample] = other
                return other
        raise DataError(f"{problem}; {_ATTEMPTS} replacements could not be read either; run `ganforge data verify`")

    def add(self, problems: Iterable[tuple[int, Unreadable]], seen: int = 0) -> None:
        """Count unreadable samples.

        Raises:
            DataError: they are more than allowed.
        """
        with self._lock:
            self._seen += seen
            self.problems.update(problems)
            number, seen = len(self.problems), min(max(self._seen, 1), len(self.dataset))
        allowed = max(_ALWAYS_ALLOWED, int(self.max_corrupt * seen)) if self.max_corrupt else 0
        if number > allowed:
            newest = next(reversed(self.problems.values()))
            raise DataError(
                f"{newest}; {number} unreadable samples, {allowed} allowed so far (data.max_corrupt = "
                f"{self.max_corrupt}); run `ganforge data verify`"
            )

    def report(self) -> list[str]:
        """Key and reason of each unreadable sample met so far."""
        with self._lock:
            return [str(problem) for problem in self.problems.values()]


def replacement(sample: int, attempt: int, count: int) -> int:
    """Another sample's id, from this one's id and the attempt only."""
    value = (sample * 0x9E3779B97F4A7C15 + attempt * 0xD1B54A32D192ED03) & 0xFFFFFFFFFFFFFFFF
    value = ((value ^ (value >> 31)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    return (value ^ (value >> 29)) % count
