"""The doctor's place in training: told every log line, it writes, says and sends what is new, and may stop the run."""

import math
from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor

from ganforge.doctor.doctor import Doctor
from ganforge.doctor.findings import Finding, said
from ganforge.doctor.illnesses import DIVERGENCE
from ganforge.doctor.journal import Journal
from ganforge.errors import DivergenceError, HealthError
from ganforge.telemetry.progress import ProgressDisplay
from ganforge.telemetry.tracking import Tracking
from ganforge.training.run import Run
from ganforge.training.saving.finite import what_is_kept


class Watch:
    """Made on every rank; only the main process looks, the others learn whether to stop.

    Nothing of it is in a checkpoint: what the doctor knows follows from the lines of `metrics.jsonl`, which a resumed
    run keeps up to its checkpoint.

    Args:
        run: at the step that it goes on from.
        tracking: on the main process; None on the others.
        display: what a person sees.
    """

    def __init__(self, run: Run, tracking: Tracking | None, display: ProgressDisplay) -> None:
        self._run = run
        self._display = display
        self._table = run.recipe.health
        self._tracking = tracking if self._table.watch else None
        self._doctor = Doctor(run.recipe.to_dict())
        self._journal: Journal | None = None
        if self._tracking is not None:
            self._journal = Journal(run.folder, run.step)
            self._doctor.catch_up(run.folder, run.step)

    def look(self, line: Mapping[str, float]) -> None:
        """A log line as it stands in `metrics.jsonl`. All ranks together.

        Raises:
            HealthError: an illness of `health.stop_on` has begun.
        """
        reasons = []
        for finding in self._doctor.look(line) if self._tracking is not None else ():
            self._tell(finding)
            if finding.event == "begins" and finding.name in self._table.stop_on:
                reasons.append(f"{finding.message} ({finding.figures})")
        if self._table.stop_on and self._any_rank(bool(reasons)):
            raise HealthError(
                f"step {self._run.step:,}: stopped by the doctor, as health.stop_on asks: "
                f"{'; '.join(reasons) or 'see the main process'}; {what_is_kept(self._run)}; "
                f"`ganforge doctor {self._run.folder}` says what helps"
            )

    def diverged(self, error: DivergenceError) -> None:
        """A loss or weight is not finite, and the run stops."""
        if self._journal is None or self._tracking is None:
            return
        evidence = {"learning_rate_scale": self._run.learning_rate_scale}
        remedies = self._doctor.against_divergence
        self._note(Finding(self._run.step, DIVERGENCE, "begins", str(error), evidence, remedies))
        self._tracking.alert(DIVERGENCE, str(error))

    def rolled_back(self, error: DivergenceError) -> None:
        """A loss or weight was not finite, and the run has gone back to a checkpoint: so does the doctor."""
        if self._journal is None:
            return
        step = self._run.step
        self._writing(lambda journal: journal.rewind(step))
        self._doctor = Doctor(self._run.recipe.to_dict())
        self._doctor.catch_up(self._run.folder, step)
        self.diverged(error)
        self._note(Finding(step, DIVERGENCE, "ends", f"went back to step {step:,}", {}))

    def _tell(self, finding: Finding) -> None:
        assert self._tracking is not None
        self._note(finding)
        self._display.say(said(finding))
        if finding.event == "begins":
            self._tracking.alert(finding.name.replace("_", " "), said(finding))

    def _note(self, finding: Finding) -> None:
        self._writing(lambda journal: journal.write(finding))

    def _writing(self, write: Callable[[Journal], None]) -> None:
        """A full disk costs a finding's line in the file, not the run."""
        assert self._journal is not None
        try:
            write(self._journal)
        except OSError as error:
            self._display.cannot_write(self._run.files.health.name, error.strerror or str(error))

    def _any_rank(self, mine: bool) -> bool:
        accelerator = self._run.accelerator
        if accelerator.num_processes == 1:
            return mine
        count = torch.tensor(float(mine), device=accelerator.device)
        return float(cast(Tensor, accelerator.reduce(count, reduction="sum"))) > 0


def only_finite(figures: Mapping[str, float]) -> dict[str, float]:
    """Without observations that are no numbers. A gradient's norm is one: fp16's scaler skips what overflows."""
    return {
        name: value
        for name, value in figures.items()
        if math.isfinite(value) or not (name.startswith("health/") or name.endswith("/gradient_norm"))
    }
