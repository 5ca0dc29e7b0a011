"""Where a run's figures go: always `metrics.jsonl`, and any of accelerate's trackers beside it.

The JSONL file is the truth and trackers are sinks: a run killed in the middle of an upload loses
nothing. A resumed run drops the lines after its checkpoint, so the file reads as if nothing had
happened.
"""

import json
import re
import secrets
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from accelerate.tracking import GeneralTracker, TensorBoardTracker, WandBTracker
from PIL import Image

from ganforge.arguments import overriding
from ganforge.errors import GanforgeError
from ganforge.files import write_text
from ganforge.jsonlines import keep_up_to
from ganforge.recipe import Recipe
from ganforge.redaction import table_without_credentials
from ganforge.run_files import RunFolder
from ganforge.telemetry.lines import LineFile
from ganforge.variables import as_written

Tracker = TypeVar("Tracker", bound=GeneralTracker)
Warn = Callable[[str, str], object]
"""Called with what cannot be written, and why; training goes on."""


class MetricsLog:
    """`metrics.jsonl`: one object a line, each with its step.

    Args:
        path: of the file.
        start: lines after this step are dropped; they will be written again.
        warn: told of a line that has to wait for room on the disk.
    """

    def __init__(self, path: Path, start: int, warn: Warn = lambda subject, problem: None) -> None:
        keep_up_to(path, start)
        self.path = path
        self._file = LineFile(path, lambda problem: warn(path.name, problem))

    def write(self, step: int, figures: Mapping[str, Any]) -> None:
        self._file.write(json.dumps({"step": step, **figures}))

    def close(self) -> None:
        self._file.close()


class Tracking:
    """All the places a run's figures go to. Made on the main process only.

    Args:
        recipe: says which trackers, and is stored with them.
        start: the step the run starts from.
        warn: told of what could not be written while training goes on.

    Raises:
        GanforgeError: a tracker does not start, for example W&B without a login.
    """

    def __init__(self, recipe: Recipe, start: int, warn: Warn = lambda subject, problem: None) -> None:
        self._warn = warn
        self._log = MetricsLog(recipe.files.metrics, start, warn)
        self._evaluations = MetricsLog(recipe.files.evaluations, start, warn)
        self._trackers: list[GeneralTracker] = []
        self._wandb: WandBTracker | None = None
        if recipe.tracking.wandb is not None:
            self._wandb = _start_wandb(recipe)
            self._trackers.append(self._wandb)
        if recipe.tracking.tensorboard is not None:
            self._trackers.append(_start_tensorboard(recipe))
        self._hook = threading.excepthook
        threading.excepthook = self._in_a_thread

    def rewind(self, step: int) -> None:
        """Forget what was logged after a step, since the run goes back to it. Trackers cannot; the file can."""
        for log in (self._log, self._evaluations):
            log.close()
        self._log = MetricsLog(self._log.path, step, self._warn)
        self._evaluations = MetricsLog(self._evaluations.path, step, self._warn)

    def figures(self, step: int, figures: Mapping[str, float]) -> None:
        self._log.write(step, figures)
        self._tell(lambda tracker: tracker.log(dict(figures), step=step))

    def _tell(self, tell: Callable[[GeneralTracker], object]) -> None:
        for tracker in self._trackers:
            self._tell_one(tracker, tell)

    def _tell_wandb(self, tell: Callable[[WandBTracker], object]) -> None:
        if self._wandb is not None:
            self._tell_one(self._wandb, tell)

    def _tell_one(self, tracker: Tracker, tell: Callable[[Tracker], object]) -> None:
        """Trackers are sinks: no failure of one ends a training."""
        try:
            tell(tracker)
        except Exception as error:  # of whatever library the tracker is
            self._warn(f"the tracker {type(tracker).__name__}", (str(error).splitlines() or [type(error).__name__])[0])

    def _in_a_thread(self, failure: threading.ExceptHookArgs) -> None:
        """TensorBoard writes in a thread of its own, whose traceback would say less than a line."""
        if type(failure.thread).__module__.startswith("tensorboard") and failure.exc_value is not None:
            self._warn("the tracker TensorBoardTracker", str(failure.exc_value))
        else:
            self._hook(failure)

    def evaluation(self, step: int, record: Mapping[str, Any]) -> None:
        """Figures with the protocol that they were computed by, for `evaluations.jsonl`."""
        self._evaluations.write(step, record)

    def picture(self, step: int, name: str, picture: Image.Image) -> None:
        import numpy as np

        def tell(tracker: GeneralTracker) -> None:
            if isinstance(tracker, WandBTracker):
                tracker.log_images({name: [picture]}, step=step)
            elif isinstance(tracker, TensorBoardTracker):
                pixels = np.asarray(picture.convert("RGB"))[None]
                tracker.log_images({name: pixels}, step=step, dataformats="NHWC")

        self._tell(tell)

    def summary(self, values: Mapping[str, Any]) -> None:
        """Figures that describe the whole run, such as the best metric."""
        self._tell_wandb(lambda wandb: wandb.run.summary.update(dict(values)))

    def alert(self, title: str, text: str) -> None:
        """Something that a person who is not watching should hear of: W&B sends it by mail or chat."""
        self._tell_wandb(lambda wandb: wandb.run.alert(title=title, text=text))

    def close(self) -> None:
        self._log.close()
        self._evaluations.close()
        self._tell(lambda tracker: tracker.finish())
        threading.excepthook = self._hook


def _start_wandb(recipe: Recipe) -> WandBTracker:
    table = recipe.tracking.wandb
    assert table is not None
    import wandb

    tracker = WandBTracker(
        table.project,
        name=table.run_name or recipe.name,
        id=run_id(recipe.folder),
        resume="allow",
        entity=table.entity,
        group=table.group,
        tags=list(table.tags),
        mode=table.mode,
        dir=str(recipe.folder),
        config=table_without_credentials(as_written(recipe.to_dict())),
    )
    try:
        tracker.start()
    except wandb.Error as error:
        reason = str(error).splitlines()[0]
        raise GanforgeError(
            f"tracking.wandb: W&B does not start: {reason}. Run `wandb login`, or train with "
            f"{overriding('tracking.wandb.mode=offline')} and `wandb sync` later"
        ) from error
    return tracker


def _start_tensorboard(recipe: Recipe) -> TensorBoardTracker:
    tracker = TensorBoardTracker(recipe.files.tensorboard.name, logging_dir=recipe.folder)
    try:
        tracker.start()
    except ImportError as error:
        raise GanforgeError("tracking.tensorboard: needs the package tensorboard: pip install tensorboard") from error
    return tracker


def run_id(folder: Path) -> str:
    """The id under which trackers know this run; made once and kept in the run folder."""
    path = RunFolder(folder).tracker_id
    try:
        known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    except (ValueError, RecursionError):
        known = None
    found = known.get("id") if isinstance(known, dict) else None
    if not isinstance(found, str) or not re.fullmatch(r"[\w-]{1,64}", found):
        found = secrets.token_hex(4)  # the first time, or the file was damaged: to a tracker it is another run then
        try:
            write_text(path, json.dumps({"id": found}) + "\n")
        except OSError as error:
            raise GanforgeError(f"{path}: cannot be written: {error.strerror}") from error
    return found
