"""The game of a recipe, from its parts."""

from ganforge.data.loader import Loader
from ganforge.game.adversarial_game import AdversarialGame
from ganforge.game.augmentations import Augmentations
from ganforge.game.averaged import AveragedGenerator
from ganforge.game.game import Game
from ganforge.game.player import Player
from ganforge.game.pool import Pool
from ganforge.game.source import Source
from ganforge.recipe import Recipe


def build_game(
    recipe: Recipe,
    source: Source,
    discriminator: Player,
    generator: Player,
    averaged: AveragedGenerator,
    augment: Augmentations,
    loader: Loader,
) -> Game:
    """Tie players and data together."""
    accelerator = generator.accelerator
    game = AdversarialGame(
        discriminator=discriminator,
        generator=generator,
        averaged=averaged,
        augment=augment,
        loader=loader,
        source=source,
        rank=accelerator.process_index,
        batch=recipe.training.batch_size // accelerator.num_processes,
        packing=recipe.discriminator.packing,
        reuse_fakes=recipe.performance.reuse_fakes,
        sees_source=recipe.discriminator.sees_source,
    )
    if recipe.training.pool:
        game.pools = tuple(Pool(recipe.training.pool) for _ in range(2 if game.has_two_ways else 1))
    return game
