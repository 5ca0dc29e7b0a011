"""The metrics that a recipe asks for, built."""

from collections.abc import Mapping
from typing import Any

from accelerate import Accelerator

from ganforge.building.parts import build_component
from ganforge.building.source import Judged, back
from ganforge.data.dataset import Dataset
from ganforge.errors import Problem, RecipeError
from ganforge.metrics.evaluator import Evaluator
from ganforge.metrics.metric import Extractor, LabelledMetric, Metric
from ganforge.metrics.protocol import Protocol, describe_extractor, versions
from ganforge.recipe import Recipe
from ganforge.registry import register
from ganforge.tables import ComponentTable

DEFAULT_EXTRACTOR = "inception-v3-compat"


def build_evaluator(
    recipe: Recipe,
    dataset: Dataset,
    accelerator: Accelerator,
    *,
    fakes: Mapping[str, Any] | None = None,
    reals: Mapping[str, Any] | None = None,
    taught_by: Dataset | None = None,
    judged: Judged | None = None,
) -> Evaluator | None:
    """None when the recipe lists no metrics.

    Args:
        recipe: its `[evaluation]` table says what to compute and how.
        dataset: the reals.
        accelerator: for the device and the other ranks.
        fakes: where generated samples come from, for the protocol; by default from the run's averaged generator.
        reals: where real samples come from; by default from the recipe's dataset.
        taught_by: samples that a self-trained extractor learns from; by default the reals.
        judged: what a translation is compared with; by default fakes have no targets.

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
        chosen = register.extractor.get(DEFAULT_EXTRACTOR).table(ComponentTable)(name=DEFAULT_EXTRACTOR)
    extractor, described = None, None
    taught = {**offers, "dataset": taught_by or dataset}
    if chosen is not None:
        extractor = build_component(recipe, register.extractor, chosen, "evaluation.extractor", **taught)
        described = describe_extractor(extractor, chosen.model_dump(mode="json", exclude_none=True))
    num_reals = min(table.num_reals, len(dataset)) if table.num_reals else len(dataset)
    _check_pairs(recipe, metrics, judged is not None and judged.is_paired)
    _check_fit(recipe, metrics, extractor, num_reals)
    if fakes is None:
        _check_classes(recipe, metrics)
    evaluator = Evaluator(
        metrics,
        extractor,
        dataset,
        accelerator,
        protocol=Protocol(
            metrics=tuple(metric.model_dump(mode="json", exclude_none=True) for metric in table.metrics),
            extractor=described,
            reals={
                **(reals or _describe_dataset(recipe, judged is not None and judged.held_out)),
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
    _check_best(recipe, metrics)
    return evaluator


def build_back_evaluator(recipe: Recipe, judged: Judged, domain: Dataset, accelerator: Accelerator) -> Evaluator | None:
    """The metrics of the way back of a game with two: sources are the reals.

    Args:
        recipe: its `[evaluation]` table.
        judged: of the way there.
        domain: the sources of the training, by which a self-trained extractor learns.
        accelerator: for the device and the other ranks.
    """
    assert recipe.domain is not None
    table = recipe.evaluation.domain or recipe.domain
    reals = {"dataset": {"name": table.name}}
    return build_evaluator(
        recipe, back(judged).targets, accelerator, reals=reals, taught_by=domain, judged=back(judged)
    )


def _describe_dataset(recipe: Recipe, held_out: bool) -> dict[str, Any]:
    """The dataset's own options, without those about how it is read."""
    table = recipe.evaluation.data if held_out and recipe.evaluation.data is not None else recipe.data
    options = register.dataset.get(table.name).options.model_fields
    chosen = table.model_dump(mode="json", include=set(options), exclude_none=True)
    return {"dataset": {"name": table.name, **chosen}}


def _check_pairs(recipe: Recipe, metrics: list[Metric], is_paired: bool) -> None:
    """Refuse metrics that compare each sample with its target where there are none.

    Raises:
        RecipeError: naming the metric.
    """
    for index, metric in enumerate(metrics):
        if metric.pairs and not is_paired:
            text = (
                f"'{recipe.evaluation.metrics[index].name}' compares each sample with its target, and these have none; "
                "it is for translations: of [[degrade]] or pairs, or with evaluation.data and evaluation.domain that "
                "belong together, number by number"
            )
            raise RecipeError(recipe.name, [Problem(f"evaluation.metrics.{index}", text)])


def _check_best(recipe: Recipe, metrics: list[Metric]) -> None:
    """Refuse a deciding figure that prefers the wrong generator.

    Raises:
        RecipeError: naming the figure.
    """
    best = recipe.evaluation.best or next(iter(metrics[0].better))
    if any(best in metric.better and not metric.decides for metric in metrics):
        text = (
            f"'{best}' prefers blurred pictures, so it cannot decide alone which generator is the best; put another "
            "metric first, such as ssim or fid, or name its figure here"
        )
        raise RecipeError(recipe.name, [Problem("evaluation.best", text)])


def _check_fit(recipe: Recipe, metrics: list[Metric], extractor: Extractor | None, num_reals: int) -> None:
    """Check before training starts that every metric gets the inputs it needs, and enough of them.

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


def _check_classes(recipe: Recipe, metrics: list[Metric]) -> None:
    """Refuse figures of classes for a generator that does not look at labels.

    Raises:
        RecipeError: naming the metric.
    """
    if getattr(recipe.generator, "conditional", None) != "none":
        return
    for index, metric in enumerate(metrics):
        if isinstance(metric, LabelledMetric):
            name = recipe.evaluation.metrics[index].name
            text = f"'{name}' looks at classes of fakes, and the generator at none; set generator.conditional"
            raise RecipeError(recipe.name, [Problem(f"evaluation.metrics.{index}", text)])
