"""Both networks and the averaged generator, built from a recipe."""

from dataclasses import replace

import torch

from ganforge.allocation import at_most, machine_memory
from ganforge.building.parts import build_component
from ganforge.data.dataset import Dataset
from ganforge.errors import Problem, RecipeError
from ganforge.game.averaged import AveragedGenerator
from ganforge.game.freezing import freeze_first_blocks
from ganforge.game.networks import Networks, latent_dim_of
from ganforge.game.packed import PackedDiscriminator, packed_spec
from ganforge.game.randomness import seed_everything
from ganforge.game.ways import BothWays
from ganforge.parallel.launch import uses_cpu
from ganforge.parallel.start import local_world_size
from ganforge.recipe import Recipe
from ganforge.registry import register
from ganforge.spec import DataSpec
from ganforge.translation_problems import has_pairs


def build_networks(
    recipe: Recipe, dataset: Dataset, source: DataSpec | None = None, *, two_ways: bool = False
) -> Networks:
    """Each network is seeded by its role, so changing one leaves the other's start as it was.

    Args:
        recipe: names the components.
        dataset: of the samples.
        source: what a translator is given; None for a generator of latents.
        two_ways: whether each player also holds a network for the way back.

    Raises:
        RecipeError: a component refuses its options, or this machine has no memory for the networks.
    """
    with at_most(*_memory_for_weights()):
        if source is None:
            return _latent_networks(recipe, dataset.spec)
        # Of other pictures than the targets' own no labels are known.
        target = dataset.spec if has_pairs(recipe) else replace(dataset.spec, classes=())
        there = _translating_networks(recipe, target, source)
        if not two_ways:
            return there
        back = _translating_networks(recipe, source, target, way="back")
        return Networks(
            BothWays(there.discriminator, back.discriminator), BothWays(there.generator, back.generator), source
        )


def _translating_networks(recipe: Recipe, spec: DataSpec, source: DataSpec, way: str = "") -> Networks:
    """Of one way; each way has first weights of its own."""
    seed_everything(recipe.seed, f"discriminator{way}")
    packing, seen = recipe.discriminator.packing, joined_spec(recipe, spec, source)
    if packing > 1:
        seen = packed_spec(seen, packing)
    discriminator = build_component(recipe, register.discriminator, recipe.discriminator, "discriminator", spec=seen)
    if packing > 1:
        discriminator = PackedDiscriminator(discriminator, packing)
    seed_everything(recipe.seed, f"generator{way}")
    offers = {"spec": spec, "source": source}
    generator = build_component(recipe, register.generator, recipe.generator, "generator", **offers)
    return Networks(discriminator, generator, source)


def joined_spec(recipe: Recipe, spec: DataSpec, source: DataSpec | None) -> DataSpec:
    """What the discriminator is shown: samples, or samples beside their sources."""
    if source is None or not recipe.discriminator.sees_source:
        return spec
    return replace(spec, shape=(spec.channels + source.channels, *spec.shape[1:]))


def _latent_networks(recipe: Recipe, of_data: DataSpec) -> Networks:
    made = {}
    for kind, table in ((register.discriminator, recipe.discriminator), (register.generator, recipe.generator)):
        seed_everything(recipe.seed, kind.name)
        is_packed = table is recipe.discriminator and recipe.discriminator.packing > 1
        spec = packed_spec(of_data, recipe.discriminator.packing) if is_packed else of_data
        made[kind.name] = build_component(recipe, kind, table, kind.name, spec=spec)
        if is_packed:
            made[kind.name] = PackedDiscriminator(made[kind.name], recipe.discriminator.packing)
    try:
        latent_dim_of(made["generator"])
    except ValueError as error:
        text = f"generator '{recipe.generator.name}' {error}"
        raise RecipeError(recipe.name, [Problem("generator", text)]) from error
    if recipe.training.freeze:
        try:
            freeze_first_blocks(made["discriminator"], recipe.training.freeze)
        except ValueError as error:
            text = f"discriminator '{recipe.discriminator.name}' {error}"
            raise RecipeError(recipe.name, [Problem("training.freeze", text)]) from error
    return Networks(**made)


def _memory_for_weights() -> tuple[int, str]:
    """Bytes that the weights of both networks may take in one process, and which part of the memory that is."""
    processes = local_world_size()
    limit = "the memory of this machine" if processes == 1 else f"the memory of this machine for each of {processes}"
    if torch.cuda.is_available() and not uses_cpu():
        return machine_memory() // processes, limit
    return machine_memory() // processes // 2, f"half of {limit}, and gradients take as much as weights"


def build_average(recipe: Recipe, networks: Networks) -> AveragedGenerator:
    """The averaged generator; must be made before anything wraps the generator."""
    table = recipe.training
    return AveragedGenerator(networks.generator, half_life=table.ema, rampup=table.ema_rampup, start=table.ema_start)
