"""What a run folder holds, read for a page; a folder of a run that is still training will do."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganforge.doctor.diagnosis import Episode, diagnose
from ganforge.doctor.journal import read_objects
from ganforge.report.thin import Series, series_of

GENERATORS = {
    "averaged": "averaged",
    "generator.best": "best",
    "generator.last": "last",
    "checkpoints/": "checkpoint (averaged)",
}
"""What a protocol calls the generator, by its beginning, and what a reader does."""


@dataclass(frozen=True)
class Evaluation:
    """Figures of one step.

    Args:
        step: of the generator.
        figures: by name.
        protocol: how they were computed; empty if it was not written down.
        of: which generator, in words.
        by: who computed them: training, or a command.
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
        folder: of the run.
        recipe: tables of the resolved recipe.
        recipe_text: the same as it stands in the file.
        series: every figure of `metrics.jsonl` over the steps.
        evaluations: in the order of the steps.
        episodes: the doctor's findings.
        lines_judged: log lines that they rest on.
        was_watched: whether the doctor looked while it trained.
        pictures: sample grids by step.
        checkpoint: the newest checkpoint's own description; empty without one.
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

    @property
    def batch_size(self) -> int:
        return int(self.recipe["training"]["batch_size"])

    @property
    def last_step(self) -> int:
        """The newest that was logged or saved."""
        logged = max((series.steps[-1] for series in self.series.values()), default=0)
        return max(logged, int(self.checkpoint.get("step", 0)))

    @property
    def best(self) -> str:
        """The best evaluation in words; empty where there was none."""
        best = self.checkpoint.get("best")
        return f"{best['name']} {best['value']:.4g} at step {best['step']:,}" if best else ""


def read_run(folder: Path, name: str) -> RunFacts:
    """Read a run folder.

    Raises:
        GanforgeError: it is not a run folder.
    """
    diagnosis = diagnose(folder)
    text = (folder / "recipe.resolved.toml").read_text(encoding="utf-8")
    lines = read_objects(folder / "metrics.jsonl")
    return RunFacts(
        name=name,
        folder=folder,
        recipe=tomllib.loads(text),
        recipe_text=text,
        series=series_of(lines),
        evaluations=tuple(_evaluations(folder, lines)),
        episodes=diagnosis.episodes,
        lines_judged=diagnosis.lines_seen,
        was_watched=diagnosis.was_watched,
        pictures={
            int(path.stem.removeprefix("step-")): path for path in sorted((folder / "samples").glob("step-*.png"))
        },
        checkpoint=_newest_checkpoint(folder),
    )


def names_of(folders: list[Path]) -> list[str]:
    """A short name for each folder: its own, with as many parents as it takes to tell them apart."""
    resolved = [folder.resolve() for folder in folders]
    for depth in range(1, max(len(path.parts) for path in resolved) + 1):
        names = ["/".join(path.parts[-depth:]) for path in resolved]
        if len(set(names)) == len(names):
            return names
    return [f"{path.name} ({number})" for number, path in enumerate(resolved, start=1)]


def _evaluations(folder: Path, lines: list[dict]) -> list[Evaluation]:
    """From `evaluations.jsonl`; where that is missing, what `metrics.jsonl` has, without a protocol."""
    written = read_objects(folder / "evaluations.jsonl")
    if written:
        return sorted((_evaluation(line) for line in written), key=lambda evaluation: evaluation.step)
    prefix = "evaluation/"
    found = []
    for line in lines:
        figures = {name.removeprefix(prefix): value for name, value in line.items() if name.startswith(prefix)}
        cost = ("seconds", "share")
        if kept := {name: value for name, value in _numbers(figures).items() if name not in cost}:
            found.append(Evaluation(line["step"], kept, {}))
    return found


def _evaluation(line: Mapping[str, Any]) -> Evaluation:
    protocol = line.get("protocol", {})
    file = str(protocol.get("fakes", {}).get("generator", "averaged"))
    of = next((words for start, words in GENERATORS.items() if file.startswith(start)), file)
    return Evaluation(line["step"], _numbers(line.get("figures", {})), protocol, of, line.get("by", "training"))


def _numbers(figures: Mapping[str, Any]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if isinstance(value, int | float)}


def _newest_checkpoint(folder: Path) -> dict[str, Any]:
    for path in sorted((folder / "checkpoints").glob("step-*/checkpoint.json"), reverse=True):
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
    return {}
