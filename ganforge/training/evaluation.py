"""Metrics in training: which the recipe asks for, and what becomes of their figures."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from accelerate import Accelerator

from ganforge.data.dataset import Dataset
from ganforge.errors import Problem, RecipeError
from ganforge.generator_file import flat_state, save_generator
from ganforge.metrics.evaluator import Evaluator
from ganforge.metrics.metric import Extractor, Metric
from ganforge.metrics.protocol import Protocol, describe_extractor, versions
from ganforge.recipe import Recipe, resolve
from ganforge.registry import register
from ganforge.tables import ComponentTable
from ganforge.training.build import build_component
from ganforge.wording import counted

if TYPE_CHECKING:
    from ganforge.training.progress import ProgressDisplay
    from ganforge.training.run import Run
    from ganforge.training.tracking import Tracking

DEFAULT_EXTRACTOR = "inception-v3-compat"


@dataclass
class Best:
    """The best evaluation so far.

    Args:
        name: of the figure that decides.
        value: of it.
        step: when that was.
        figures: all finite ones of that evaluation; where the first is the same as before, the next decides.
        stale: evaluations since then, none of them better.
    """

    name: str
    value: float
    step: int
    figures: dict[str, float] = field(default_factory=dict)
    stale: int = 0


def build_evaluator(
    recipe: Recipe,
    dataset: Dataset,
    accelerator: Accelerator,
    *,
    fakes: Mapping[str, Any] | None = None,
    reals: Mapping[str, Any] | None = None,
    taught_by: Dataset | None = None,
) -> Evaluator | None:
    """None when the recipe lists no metrics.

    Args:
        recipe: its `[evaluation]` table says what to compute and how.
        dataset: the reals.
        accelerator: for the device and the other ranks.
        fakes: where generated samples come from, for the protocol; by default from the run's averaged generator.
        reals: the same of the real ones; by default from the recipe's dataset.
        taught_by: what an extractor learns from that trains itself; by default the reals.

    Raises:
        RecipeError: metrics, extractor, dataset and counts do not go together.
    """
    table = recipe.evaluation
    if not table.metrics:
        return None
    offers = {"dataset": dataset, "cache_dir": recipe.cache_dir}
    metrics: list[Metric] = [
        build_component(recipe, register.metric, metric, f"evaluation.metrics.{index}", **offers)
        for index, metric in enumerate(table.metrics)
    ]
    chosen = table.extractor
    if chosen is None and dataset.spec.is_image and any(metric.looks_at != "samples" for metric in metrics):
        chosen = _default_extractor(recipe)
    extractor, described = None, None
    taught = {**offers, "dataset": taught_by or dataset}
    if chosen is not None:
        extractor = build_component(recipe, register.extractor, chosen, "evaluation.extractor", **taught)
        described = describe_extractor(extractor, chosen.model_dump(mode="json", exclude_none=True))
    num_reals = min(table.num_reals, len(dataset)) if table.num_reals else len(dataset)
    _check_fit(recipe, metrics, extractor, num_reals)
    evaluator = Evaluator(
        metrics,
        extractor,
        dataset,
        accelerator,
        protocol=Protocol(
            metrics=tuple(metric.model_dump(mode="json", exclude_none=True) for metric in table.metrics),
            extractor=described,
            reals={
                **(reals or _describe_dataset(recipe)),
                "digest": dataset.digest,
                "split": "all" if num_reals == len(dataset) else f"evenly spaced among {len(dataset)}",
            },
            num_reals=num_reals,
            fakes=fakes or {"generator": "averaged", "seed": recipe.seed},
            num_fakes=table.num_fakes,
            versions=versions(),
        ),
        cache_dir=recipe.cache_dir,
    )
    if table.best is not None and table.best not in evaluator.better():
        known = ", ".join(evaluator.better())
        raise RecipeError(
            recipe.name, [Problem("evaluation.best", f"no metric gives '{table.best}'; there are: {known}")]
        )
    return evaluator


def _describe_dataset(recipe: Recipe) -> dict[str, Any]:
    """The dataset's own options, without those about how it is read."""
    options = register.dataset.get(recipe.data.name).options.model_fields
    chosen = recipe.data.model_dump(mode="json", include=set(options), exclude_none=True)
    return {"dataset": {"name": recipe.data.name, **chosen}}


def _default_extractor(recipe: Recipe) -> ComponentTable:
    tables = recipe.to_dict()
    tables["evaluation"]["extractor"] = {"name": DEFAULT_EXTRACTOR}
    chosen = resolve(tables, recipe.name).evaluation.extractor
    assert chosen is not None
    return chosen


def _check_fit(recipe: Recipe, metrics: list[Metric], extractor: Extractor | None, num_reals: int) -> None:
    """Before training starts: every metric can look at what it wants, and at enough of it.

    Raises:
        RecipeError: naming the metric.
    """
    givers: dict[str, str] = {}
    for index, metric in enumerate(metrics):
        name = recipe.evaluation.metrics[index].name
        problem = ""
        if metric.looks_at != "samples" and extractor is None:
            problem = f"'{name}' looks at {metric.looks_at}; add evaluation.extractor"
        elif metric.looks_at == "logits" and not (extractor and extractor.has_logits):
            problem = f"'{name}' looks at class logits, which the extractor does not give; take inception-v3-compat"
        elif metric.needs_reals and num_reals == 0:
            problem = f"'{name}' looks at real samples by number, which a stream does not have; pack it first"
        elif twice := [figure for figure in metric.better if figure in givers]:
            problem = f"'{name}' gives '{twice[0]}', and so does '{givers[twice[0]]}'; keep one of them"
        else:
            try:
                metric.check(recipe.evaluation.num_fakes, num_reals)
            except ValueError as error:
                problem = f"'{name}': {error}"
        if problem:
            raise RecipeError(recipe.name, [Problem(f"evaluation.metrics.{index}", problem)])
        givers.update(dict.fromkeys(metric.better, name))


def evaluate(run: "Run", tracking: "Tracking | None", display: "ProgressDisplay") -> bool:
    """Metrics of the averaged generator; keeps it if it is the best so far. All ranks together, with the same outcome.

    Returns:
        whether it is the best so far.
    """
    if run.evaluator is None:
        return False
    with run.shown():
        figures = run.evaluator(lambda indices: run.sample("evaluation", indices))
        seconds = figures.pop("seconds")
        run.evaluation_seconds += seconds
        run.figures, run.figures_step = figures, run.step
        is_best = _remember(run, figures)
        if is_best and tracking is not None:
            save_best(run)
    if tracking is not None:
        cost = {"seconds": seconds, "share": run.evaluation_seconds / (time.perf_counter() - run.began)}
        finite = {name: value for name, value in {**figures, **cost}.items() if math.isfinite(value)}
        tracking.figures(run.step, {f"evaluation/{name}": value for name, value in finite.items()})
        protocol = run.evaluator.protocol.to_dict()
        tracking.evaluation(run.step, {"images": run.images, **record(figures, protocol), **cost})
        tracking.summary({f"evaluation/{name}": value for name, value in figures.items()})
        tracking.summary({"evaluation/protocol": protocol})
        if is_best and run.best is not None:
            tracking.summary({f"best/{run.best.name}": run.best.value, "best/step": run.step})
    shown = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
    display.say(f"step {run.step:,}  {shown}{'  (best so far)' if is_best else ''}")
    for line in run.evaluator.warnings():
        display.say(f"warning: {line}")
    if run.is_out_of_patience and run.best is not None:
        display.say(
            f"no better {run.best.name} in {counted(run.best.stale, 'evaluation')} since step {run.best.step:,}: "
            "the run ends here, as evaluation.patience says"
        )
    return is_best


def record(figures: Mapping[str, float], protocol: Mapping[str, Any]) -> dict[str, Any]:
    """Figures and protocol for `evaluations.jsonl`; what is no number is null there, as JSON wants it."""
    numbers = {name: value if math.isfinite(value) else None for name, value in figures.items()}
    return {"figures": numbers, "protocol": dict(protocol)}


def _remember(run: "Run", figures: Mapping[str, float]) -> bool:
    """Whether these are the best figures so far; counts how many evaluations were not."""
    assert run.evaluator is not None
    better = run.evaluator.better()
    name = run.recipe.evaluation.best or next(iter(better))
    if not math.isfinite(figures[name]):
        is_best = False
    elif run.best is None or run.best.name != name:  # another figure decides than before
        is_best = True
    else:
        before = {**run.best.figures, name: run.best.value}
        is_best = goodness(figures, better, name) > goodness(before, better, name)
    if is_best:
        finite = {figure: value for figure, value in figures.items() if math.isfinite(value)}
        run.best = Best(name, figures[name], run.step, finite)
    elif run.best is not None:
        run.best.stale += 1
    return is_best


def goodness(figures: Mapping[str, float], better: Mapping[str, str], first: str) -> list[float]:
    """What to compare evaluations by, larger being better: one figure, and where it is the same all others in turn.

    A count such as the covered modes is soon as high as it can be, and the share of good points goes on rising.

    Args:
        figures: by name; one that is missing or no number is worse than any.
        better: every figure's name, and whether "lower" or "higher" is better.
        first: the figure that decides.
    """
    values = [
        (figures.get(name, math.nan), way) for name, way in sorted(better.items(), key=lambda item: item[0] != first)
    ]
    signed = [value if way == "higher" else -value for value, way in values]
    return [value if math.isfinite(value) else -math.inf for value in signed]


def save_best(run: "Run") -> None:
    """Write the averaged generator as the best so far. Main process only."""
    state = flat_state(run.averaged.network)
    save_generator(run.folder / "generator.best.safetensors", state, run.generator_config())
