"""The study: trials in a storage that several processes share, and who works on which of them.

The storage knows what every trial was given and found. Who works on a trial is marked by a lock on a file beside the
run folders: the operating system releases the lock of a killed process, so that the next process to ask can resume the
trial at once. A running trial whose lock is free is such an orphan.
"""

import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import optuna
from filelock import FileLock, Timeout
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import MedianPruner, NopPruner
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import ArgumentError, DBAPIError

from ganforge.arguments import argument
from ganforge.errors import GanforgeError
from ganforge.sweep.sampler import AxisSampler, distribution
from ganforge.sweep.space import Axis

BUSY_SECONDS = 60
"""How long a process waits for another that writes to the same SQLite file."""

TURNSTILE = ".study.lock"
"""Lock file held by the process that is choosing a trial to work on."""

STARTUP = 5
"""Trials that are finished before any is pruned; Optuna's default."""


@dataclass(frozen=True)
class Claim:
    """A trial that only this process works on.

    Args:
        trial: trial of the study.
        is_new: whether no process has begun it yet.
        lock: held until `release`.
    """

    trial: Trial
    is_new: bool
    lock: FileLock

    def release(self) -> None:
        self.lock.release()


class SharedStudy:
    """One study, as one of its processes sees it.

    Args:
        name: name of the study.
        storage: a database URL as SQLAlchemy writes them.
        folder: holds run folders and locks; all processes see the same.
        axes: options that are varied.
        recipe: the resolved recipe without the axes, as text.
        direction: `minimize` or `maximize`.
        seed: seed of all random draws.
        prunes: whether trials may be ended that do worse than the median of the others.

    Raises:
        GanforgeError: the storage cannot be used, or holds another sweep under this name.
    """

    def __init__(
        self,
        name: str,
        storage: str,
        folder: Path,
        axes: Sequence[Axis],
        recipe: str,
        direction: Literal["minimize", "maximize"],
        *,
        seed: int,
        prunes: bool,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.name, self.folder, self.axes = name, folder, axes
        self._turnstile = FileLock(folder / TURNSTILE)
        with self._turnstile, warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            self.study = optuna.create_study(
                study_name=name,
                storage=_open_storage(storage),
                direction=direction,
                load_if_exists=True,
                sampler=AxisSampler(axes, seed),
                pruner=MedianPruner(n_startup_trials=STARTUP) if prunes else NopPruner(),
            )
            self._require_same_sweep(recipe)

    def _require_same_sweep(self, recipe: str) -> None:
        """A study compares trials; under another recipe or space they would not be comparable."""
        now = {"axes": json.dumps([asdict(axis) for axis in self.axes]), "recipe": recipe}
        for key, text in now.items():
            before = self.study.user_attrs.get(key)
            if before is None:
                self.study.set_user_attr(key, text)
            elif before != text:
                what = "varies other options" if key == "axes" else "was begun under another recipe"
                raise GanforgeError(
                    f"the study '{self.name}' {what}; choose another {argument('study')}, or restore what it was begun "
                    "with"
                )

    def claim(self, trials: int) -> Claim | None:
        """The next trial for this process: an orphan if there is one, else a new one; None if there are enough.

        Args:
            trials: number of trials that the study is to have.
        """
        with self._turnstile:
            for frozen in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                if (lock := self._locked(frozen.number)) is None:
                    continue
                if self.trials()[frozen.number].state != TrialState.RUNNING:  # finished a moment ago
                    lock.release()
                    continue
                trial = Trial(self.study, frozen._trial_id)
                self._suggest(trial)
                return Claim(trial, is_new=False, lock=lock)
            if len(self.study.get_trials(deepcopy=False)) >= trials:
                return None
            trial = self.study.ask()
            self._suggest(trial)
            lock = self._locked(trial.number)
            assert lock is not None, "nobody else can know of it yet"
            return Claim(trial, is_new=True, lock=lock)

    def _suggest(self, trial: Trial) -> None:
        """Sample the trial's values; a trial that has values keeps them."""
        for axis in self.axes:
            trial._suggest(axis.path, distribution(axis))

    def _locked(self, number: int) -> FileLock | None:
        lock = FileLock(self.folder / f".trial-{number:04d}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return None
        return lock

    def trials(self) -> list[FrozenTrial]:
        """All trials, by number."""
        return self.study.get_trials(deepcopy=False)

    def best_value(self, trial: FrozenTrial) -> float | None:
        """The best figure that the trial has reported so far."""
        values = trial.intermediate_values.values()
        choose = min if self.study.direction == optuna.study.StudyDirection.MINIMIZE else max
        return choose(values) if values else None


def _open_storage(url: str) -> RDBStorage:
    options = {"connect_args": {"timeout": BUSY_SECONDS}} if url.startswith("sqlite") else {}
    try:
        return RDBStorage(url, engine_kwargs=options)
    except (ArgumentError, DBAPIError, ImportError) as error:
        reason = str(error).splitlines()[0]
        raise GanforgeError(
            f"{argument('storage', url)}: cannot be opened: {reason}. It is a URL such as sqlite:///sweep.db or "
            "postgresql://user@host/name, whose driver is installed"
        ) from error
