"""Both networks and the averaged generator, built from a recipe."""

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
from ganforge.parallel.launch import uses_cpu
from ganforge.parallel.start import local_world_size
from ganforge.recipe import Recipe
from ganforge.registry import register


def build_networks(recipe: Recipe, dataset: Dataset) -> Networks:
    """Each network is seeded by its role, so changing one leaves the other's start as it was.

    Raises:
        RecipeError: a component refuses its options, or this machine has no memory for the networks.
    """
    made = {}
    with at_most(*_memory_for_weights()):
        for kind, table in ((register.discriminator, recipe.discriminator), (register.generator, recipe.generator)):
            seed_everything(recipe.seed, kind.name)
            is_packed = table is recipe.discriminator and recipe.discriminator.packing > 1
            spec = packed_spec(dataset.spec, recipe.discriminator.packing) if is_packed else dataset.spec
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
