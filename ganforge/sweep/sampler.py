"""Sampling of a trial's values. Grid and random ones depend on its number alone, so no two jobs try the same."""

import hashlib
from collections.abc import Sequence
from typing import Any

from optuna import Study
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from ganforge.sweep.space import Axis, grid_choice

STARTUP = 10
"""Finished trials before TPE (Bergstra et al. 2011) replaces random sampling; Optuna's default."""


def distribution(axis: Axis) -> BaseDistribution:
    """The axis in Optuna's terms."""
    if axis.choices:
        return CategoricalDistribution(axis.choices)
    if axis.is_integer:
        return IntDistribution(int(axis.low), int(axis.high), log=axis.is_log)
    return FloatDistribution(axis.low, axis.high, log=axis.is_log)


class AxisSampler(BaseSampler):
    """Optuna sampler that samples each axis in the way that the axis asks for.

    Args:
        axes: axes of the sweep.
        seed: seed of all random draws.
    """

    def __init__(self, axes: Sequence[Axis], seed: int) -> None:
        self._axes = {axis.path: axis for axis in axes}
        self._seed = seed

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        axis = self._axes[param_name]
        if axis.how == "grid":
            return axis.choices[grid_choice(list(self._axes.values()), axis.path, trial.number)]
        seed = _seed_of(self._seed, trial.number, param_name)
        drawn = RandomSampler(seed) if axis.how == "random" else TPESampler(seed=seed, n_startup_trials=STARTUP)
        return drawn.sample_independent(study, trial, param_name, param_distribution)


def _seed_of(*parts: object) -> int:
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:4], "big")
