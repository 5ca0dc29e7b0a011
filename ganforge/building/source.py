"""What the generator of a recipe is given, built: the only place that decides where it comes from."""

import zlib
from dataclasses import dataclass, replace
from typing import Any

import torch
from accelerate import Accelerator

from ganforge.building.parts import build_component, build_loader, dataset_offers, windowed
from ganforge.data.dataset import Dataset
from ganforge.data.loader import Loader
from ganforge.degradations import Degradations
from ganforge.errors import Problem, RecipeError
from ganforge.game.latents import IndexedLatents
from ganforge.game.networks import Networks
from ganforge.game.picture_sources import Degraded, Domain, Halves, Shown
from ganforge.game.source import Latents, Source
from ganforge.recipe import Recipe
from ganforge.registry import register
from ganforge.spec import DataSpec
from ganforge.tables import ComponentTable
from ganforge.translation_problems import is_translator


@dataclass(frozen=True)
class SourceParts:
    """What sources are made of, before anything runs.

    Args:
        spec: what a source looks like, without classes.
        degradations: that make it of a target, or None.
        domain: the dataset that it is a sample of, or None.
    """

    spec: DataSpec
    degradations: Degradations | None = None
    domain: Dataset | None = None


def build_source_parts(recipe: Recipe, dataset: Dataset) -> SourceParts | None:
    """The parts of a translation's source; None for a game of latents.

    Raises:
        RecipeError: the degradations do not fit the data, or one another.
        DataError: there is no such domain.
    """
    if not is_translator(recipe.generator.name):
        return None
    if recipe.domain is not None:
        domain = windowed(
            build_component(recipe, register.dataset, recipe.domain, "domain", **dataset_offers(recipe)),
            recipe.domain.cut,
        )
        return SourceParts(replace(domain.spec, classes=()), domain=domain)
    if recipe.degrade:
        degradations = build_degradations(recipe, dataset.spec)
        return SourceParts(replace(degradations.spec, classes=()), degradations=degradations)
    assert dataset.source is not None
    return SourceParts(replace(dataset.source, classes=()))


def build_degradations(recipe: Recipe, spec: DataSpec) -> Degradations:
    """From targets to sources, in the order of the recipe.

    Raises:
        RecipeError: one of them does not fit what it is given.
    """
    steps: list[Any] = []
    for index, table in enumerate(recipe.degrade):
        steps.append(build_component(recipe, register.degradation, table, f"degrade.{index}", spec=spec))
        spec = steps[-1].spec
    return Degradations(steps, recipe.seed)


@dataclass(frozen=True)
class Judged:
    """What an evaluation compares, and what it makes its fakes of.

    Args:
        targets: the real samples.
        sources: of an unpaired translation, what is translated; None in other games.
        is_paired: whether the i-th fake should look like the i-th real sample.
        held_out: whether the targets are not those of the training.
    """

    targets: Dataset
    sources: Dataset | None
    is_paired: bool
    held_out: bool


def back(judged: Judged) -> Judged:
    """What the way back of a game with two is compared with."""
    assert judged.sources is not None
    return Judged(judged.sources, judged.targets, judged.is_paired, judged.held_out)


def build_judged(recipe: Recipe, dataset: Dataset, domain: Dataset | None) -> Judged:
    """The recipe's `[evaluation] data` and `domain`, or what it trains on.

    Raises:
        RecipeError: held-out samples are not of the kind that training sees.
        DataError: there are none.
    """
    table = recipe.evaluation
    held_out = _held_out(recipe, table.data, "evaluation.data", dataset, recipe.data.cut)
    other = None
    if domain is not None:
        assert recipe.domain is not None
        other = _held_out(recipe, table.domain, "evaluation.domain", domain, recipe.domain.cut)
    is_paired = is_translator(recipe.generator.name) and domain is None
    if held_out is not None and other is not None:
        is_paired = len(held_out) == len(other)
    return Judged(held_out or dataset, other or domain, is_paired, held_out is not None)


def _held_out(
    recipe: Recipe, table: ComponentTable | None, path: str, like: Dataset, cut: tuple[int, int] | None
) -> Dataset | None:
    if table is None:
        return None
    found = build_component(recipe, register.dataset, table, path, **dataset_offers(recipe))
    found = windowed(found, cut)
    if found.spec.shape != like.spec.shape or (found.source is None) != (like.source is None):
        text = f"holds samples of {found.spec}, training sees {like.spec}; name one of the same kind"
        raise RecipeError(recipe.name, [Problem(path, text)])
    return found


def build_source(
    recipe: Recipe,
    dataset: Dataset,
    parts: SourceParts | None,
    judged: Judged,
    networks: Networks,
    accelerator: Accelerator,
) -> Source:
    """Where the generator's input comes from, in training and outside of it."""
    if parts is not None:
        loader = None
        if parts.domain is not None:
            assert recipe.domain is not None
            seed = (recipe.seed + zlib.crc32(b"domain")) % 2**63
            loader = build_loader(recipe, parts.domain, accelerator, options=recipe.loader_of(recipe.domain), seed=seed)
        return build_picture_source(recipe, parts, judged, accelerator.device, loader)
    return Latents(
        IndexedLatents(
            recipe.seed,
            networks.latent_dim,
            networks.latent_distribution,
            dataset.spec.num_classes,
            accelerator.device,
            class_counts(recipe, dataset),
        )
    )


def build_picture_source(
    recipe: Recipe, parts: SourceParts, judged: Judged, device: torch.device, loader: Loader | None = None
) -> Source:
    """Where a translator's input comes from; without a loader of its domain only outside of training."""
    counts = {"evaluation": recipe.evaluation.num_fakes, "samples": recipe.samples.num}
    if parts.domain is not None:
        assert judged.sources is not None
        sources, targets = Shown(judged.sources, counts), Shown(judged.targets, counts)
        return Domain(parts.spec, loader, sources, targets, is_paired=judged.is_paired, device=device)
    shown = Shown(judged.targets, counts)
    if parts.degradations is not None:
        return Degraded(parts.degradations.to(device), shown, device)
    return Halves(shown, device)


def class_counts(recipe: Recipe, dataset: Dataset) -> tuple[int, ...]:
    """Samples of each class, by which labels of fakes are drawn; empty for all classes alike."""
    return dataset.class_counts if recipe.training.fake_labels == "data" else ()
