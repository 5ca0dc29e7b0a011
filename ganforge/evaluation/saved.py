"""`ganforge evaluate`: metrics of what lies on the disk, by the same code and protocol as in training."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from ganforge.arguments import argument
from ganforge.building.evaluator import DEFAULT_EXTRACTOR, build_evaluator
from ganforge.building.parts import build_dataset
from ganforge.building.source import Judged, build_judged, build_picture_source, build_source_parts
from ganforge.data.dataset import Dataset
from ganforge.data.picture_folder import PictureFolder
from ganforge.errors import DataError, GanforgeError
from ganforge.evaluation.reals import find_reals, recipe_without_run
from ganforge.evaluation.subject import Subject, find_subject
from ganforge.metrics.evaluator import SamplesByIndex
from ganforge.metrics.protocol import record
from ganforge.parallel.start import make_accelerator
from ganforge.recipe import Recipe, load_saved, override, resolve
from ganforge.run_files import RunFolder
from ganforge.spec import DataSpec


@dataclass(frozen=True)
class Evaluated:
    """The result of an evaluation.

    Args:
        name: of the subject.
        figures: by name.
        protocol: how they were computed.
        seconds: time that it took.
        is_main: whether this process prints the results.
        warnings: what makes the figures say less than they seem to, a line each.
    """

    name: str
    figures: dict[str, float]
    protocol: dict[str, Any]
    seconds: float
    is_main: bool
    warnings: tuple[str, ...] = ()


def evaluate_saved(
    target: Path,
    *,
    metrics: Sequence[str] = (),
    against: str | None = None,
    num: int | None = None,
    extractor: str | None = None,
    weights: Path | None = None,
    overrides: Sequence[str] = (),
) -> Evaluated:
    """Judge a run, a checkpoint, a generator file or a folder of pictures. All ranks together.

    Args:
        target: what to judge.
        metrics: names; by default those of its recipe, else `fid`.
        against: real samples: a dataset's name, a packed dataset, a recipe file or a folder of pictures; by default
            what the run learned from.
        num: generated samples to look at; by default as many as the recipe says, or all pictures of a folder.
        extractor: name; by default the recipe's, else `inception-v3-compat`.
        weights: file of the extractor's weights.
        overrides: `evaluation.key=value`, as for a recipe.

    Raises:
        GanforgeError: there is nothing to judge, or nothing to compare it with.
    """
    subject = find_subject(target)
    tables = _tables(subject)
    reals = None if against is None else find_reals(against)
    folder = reals if isinstance(reals, PictureFolder) else None
    if reals is not None:
        tables.get("evaluation", {}).pop("data", None)  # what it is compared with has just been named
    if isinstance(reals, dict):
        cache = {key: value for key, value in tables["data"].items() if key == "cache_dir"}
        tables["data"] = {**cache, **reals}
    elif reals is None and subject.run is None:
        raise GanforgeError(
            f"{target}: nothing says what to compare it with; name the real pictures with {argument('against')}"
        )
    _choose(tables, subject, metrics, num, extractor, weights)
    recipe = resolve(override(tables, overrides), "ganforge evaluate")
    dataset: Dataset = build_dataset(recipe) if folder is None else folder
    accelerator = make_accelerator("no")
    judged, sampler = None, None
    if subject.config is not None and subject.config.source is not None:
        judged, sampler = _translations(subject, recipe, dataset, accelerator)
    evaluator = build_evaluator(
        recipe,
        dataset if judged is None else judged.targets,
        accelerator,
        fakes=subject.origin,
        reals=None if folder is None else {"dataset": "pictures"},
        taught_by=dataset if against is None else _learned_from(subject),
        judged=judged,
    )
    assert evaluator is not None
    figures = evaluator(sampler or subject.sampler(accelerator.device))
    seconds = figures.pop("seconds")
    protocol = evaluator.protocol.to_dict()
    _keep(subject, figures, protocol, seconds, accelerator)
    warnings = (*_of_sizes(subject.spec, dataset.spec), *evaluator.warnings())
    return Evaluated(subject.name, figures, protocol, seconds, accelerator.is_main_process, warnings)


def _translations(
    subject: Subject, recipe: Recipe, dataset: Dataset, accelerator: Accelerator
) -> tuple[Judged, SamplesByIndex]:
    """What a translator is judged by: its run's own sources, or those computed of other targets.

    Raises:
        GanforgeError: nothing says what it translates.
    """
    network = subject.generator
    assert network is not None
    if subject.run is None:
        raise GanforgeError(f"{subject.name}: the file alone does not say what to translate; name its run folder")
    parts = build_source_parts(recipe, dataset)
    assert parts is not None
    judged = build_judged(recipe, dataset, parts.domain)
    source = build_picture_source(recipe, parts, judged, accelerator.device)
    network.to(accelerator.device)
    return judged, lambda indices: network(*source.shown("evaluation", 0, indices))


def _of_sizes(fakes: DataSpec, reals: DataSpec) -> list[str]:
    """What to say of fakes and reals that are not of one size."""
    if fakes.shape[1:] == reals.shape[1:]:
        return []
    return [
        f"fakes are of {replace(fakes, classes=())}, reals of {replace(reals, classes=())}: the figures are about the "
        "size as well; bring them to one with `ganforge data pack --size`"
    ]


def _tables(subject: Subject) -> dict[str, Any]:
    """The run's recipe; without a run, one of which only `[data]` and `[evaluation]` will be looked at."""
    if subject.run is not None:
        return load_saved(RunFolder(subject.run).recipe).to_dict()
    return recipe_without_run()


def _learned_from(subject: Subject) -> Dataset | None:
    """The run's own dataset, if it is available here: an extractor that trains itself stays what it was in the run."""
    if subject.run is None:
        return None
    try:
        return build_dataset(load_saved(RunFolder(subject.run).recipe))
    except DataError:
        return None


def _choose(
    tables: dict[str, Any],
    subject: Subject,
    metrics: Sequence[str],
    num: int | None,
    extractor: str | None,
    weights: Path | None,
) -> None:
    """Put into `[evaluation]` what was asked for on the command line."""
    table = tables.setdefault("evaluation", {})
    known = {metric["name"]: metric for metric in table.get("metrics", ())}
    wanted = [known.get(name, {"name": name}) for name in metrics] or list(known.values())
    if [metric["name"] for metric in wanted] != list(known):
        table.pop("best", None)  # may name a figure that nobody computes now
    table["metrics"] = wanted or [{"name": "fid"}]
    if num is not None:
        table["num_fakes"] = num
    elif subject.pictures is not None:
        table["num_fakes"] = len(subject.pictures)
    if subject.pictures is not None and table["num_fakes"] > len(subject.pictures):
        raise GanforgeError(f"{argument('num', num)}: {subject.name} holds {len(subject.pictures)} pictures")
    if extractor is not None and table.get("extractor", {}).get("name") != extractor:
        table["extractor"] = {"name": extractor}
    if weights is not None:
        table["extractor"] = {**table.get("extractor", {"name": DEFAULT_EXTRACTOR}), "weights": str(weights)}


def _keep(
    subject: Subject, figures: dict[str, float], protocol: dict[str, Any], seconds: float, accelerator: Accelerator
) -> None:
    """A line in the `evaluations.jsonl` of the run."""
    if subject.run is None or not accelerator.is_main_process:
        return
    line = {"step": subject.origin["step"], "by": "ganforge evaluate", **record(figures, protocol), "seconds": seconds}
    path = RunFolder(subject.run).evaluations
    try:
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")
    except OSError as error:
        raise GanforgeError(f"{path}: cannot be written: {error.strerror}") from error
