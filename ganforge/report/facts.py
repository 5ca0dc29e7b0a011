"""What a run folder holds, read for a page; a folder of a run that is still training will do."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganforge.doctor.diagnosis import Episode, diagnose
from ganforge.jsonlines import StepLines
from ganforge.lookup import is_number, number, table_at, text, whole
from ganforge.report.curves import Curves
from ganforge.report.thin import Series
from ganforge.run_files import CHECKPOINTS, GENERATOR, RunFolder
from ganforge.wording import counted, printable

GENERATORS = {
    "averaged": "averaged",
    f"{GENERATOR}best": "best",
    f"{GENERATOR}last": "last",
    f"{CHECKPOINTS}/": "checkpoint (averaged)",
}
"""What a protocol calls the generator, by its beginning, and what a reader does."""


@dataclass(frozen=True)
class Evaluation:
    """Figures of one step.

    Args:
        step: step of the generator.
        figures: values by name.
        protocol: how they were computed; empty if it was not written down.
        of: which generator they are of.
        by: what computed them: training, or a command.
    """

    step: int
    figures: Mapping[str, float]
    protocol: Mapping[str, Any]
    of: str = "averaged"
    by: str = "training"


@dataclass(frozen=True)
class RunFacts:
    """A run as a page shows it.

    Args:
        name: unique among the runs of a page.
        folder: folder of the run.
        recipe: tables of the resolved recipe.
        recipe_text: text of that recipe's file.
        series: every figure of `metrics.jsonl` over the steps.
        evaluations: in the order of the steps.
        episodes: the doctor's findings.
        lines_judged: log lines that the findings rest on.
        was_watched: whether the doctor watched training.
        pictures: sample grids by step.
        checkpoint: the newest checkpoint's own description; empty without one.
        passed_over: descriptions of what in the folder could not be read.
    """

    name: str
    folder: Path
    recipe: Mapping[str, Any]
    recipe_text: str
    series: Mapping[str, Series]
    evaluations: tuple[Evaluation, ...]
    episodes: tuple[Episode, ...]
    lines_judged: int
    was_watched: bool
    pictures: Mapping[int, Path]
    checkpoint: Mapping[str, Any]
    passed_over: tuple[str, ...] = ()

    @property
    def steps(self) -> int | None:
        """Steps of the whole run; None if its recipe does not say."""
        return whole(self.recipe, "training", "steps")

    @property
    def batch_size(self) -> int | None:
        """Images a step; None if its recipe does not say."""
        return whole(self.recipe, "training", "batch_size")

    @property
    def last_step(self) -> int:
        """The newest step that was logged or saved."""
        logged = max((series.steps[-1] for series in self.series.values()), default=0)
        return max(logged, whole(self.checkpoint, "step") or 0)

    @property
    def best(self) -> str:
        """The best evaluation as text; empty where there was none."""
        best = table_at(self.checkpoint, "best")
        name, value, step = text(best, "name"), number(best, "value"), whole(best, "step")
        return "" if name is None or value is None or step is None else f"{name} {value:.4g} at step {step:,}"


def read_run(folder: Path, name: str) -> RunFacts:
    """Read a run folder, whatever state it is in.

    Raises:
        GanforgeError: it is not a run folder, or a file of it cannot be read.
    """
    files, curves, logged = RunFolder(folder), Curves(), _LoggedEvaluations()

    def gather(line: Mapping[str, Any]) -> None:
        curves.add(line)
        logged.add(line)

    diagnosis = diagnose(folder, gather)
    written = StepLines(files.evaluations)
    evaluations = sorted((_evaluation(line) for line in written), key=lambda evaluation: evaluation.step)
    odd = {files.metrics.name: diagnosis.passed_over, files.evaluations.name: written.passed_over}
    return RunFacts(
        name=printable(name),
        folder=folder,
        recipe=files.read_recipe(),
        recipe_text=files.recipe_text(),
        series=curves.series(),
        evaluations=tuple(evaluations or logged.found),
        episodes=diagnosis.episodes,
        lines_judged=diagnosis.lines_seen,
        was_watched=diagnosis.was_watched,
        pictures=files.sample_grids(),
        checkpoint=next((state for _, state in files.checkpoint_states()), {}),
        passed_over=tuple(f"{counted(count, 'damaged line')} of {file}" for file, count in odd.items() if count),
    )


def names_of(folders: list[Path]) -> list[str]:
    """A short name for each folder: its own, with as many parents as it takes to tell them apart."""
    resolved = [folder.resolve() for folder in folders]
    for depth in range(1, max(len(path.parts) for path in resolved) + 1):
        names = ["/".join(path.parts[-depth:]) for path in resolved]
        if len(set(names)) == len(names):
            return names
    return [f"{path.name} ({number})" for number, path in enumerate(resolved, start=1)]


class _LoggedEvaluations:
    """Evaluations in `metrics.jsonl`, which have no protocol: for runs that have no `evaluations.jsonl`."""

    def __init__(self) -> None:
        self.found: list[Evaluation] = []

    def add(self, line: Mapping[str, Any]) -> None:
        if "images" in line:  # a line of losses, which nearly all are
            return
        prefix, cost = "evaluation/", ("evaluation/seconds", "evaluation/share")
        figures = {
            name.removeprefix(prefix): value
            for name, value in line.items()
            if name.startswith(prefix) and name not in cost and is_number(value)
        }
        if figures:
            self.found.append(Evaluation(line["step"], figures, {}))


def _evaluation(line: Mapping[str, Any]) -> Evaluation:
    protocol, figures = table_at(line, "protocol"), table_at(line, "figures")
    file = text(protocol, "fakes", "generator") or "averaged"
    of = next((words for start, words in GENERATORS.items() if file.startswith(start)), file)
    kept = {name: value for name, value in figures.items() if is_number(value)}
    return Evaluation(line["step"], kept, protocol, of, text(line, "by") or "training")
