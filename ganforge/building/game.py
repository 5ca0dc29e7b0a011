"""The game of a recipe, from its parts: the only place that decides which kind of game it is."""

from ganforge.data.dataset import Dataset
from ganforge.data.loader import Loader
from ganforge.game.adversarial_game import AdversarialGame
from ganforge.game.augmentations import Augmentations
from ganforge.game.averaged import AveragedGenerator
from ganforge.game.game import Game
from ganforge.game.latents import IndexedLatents
from ganforge.game.networks import Networks
from ganforge.game.player import Player
from ganforge.game.source import Latents
from ganforge.recipe import Recipe


def class_counts(recipe: Recipe, dataset: Dataset) -> tuple[int, ...]:
    """Samples of each class, by which labels of fakes are drawn; empty for all classes alike."""
    return dataset.class_counts if recipe.training.fake_labels == "data" else ()


def build_game(
    recipe: Recipe,
    dataset: Dataset,
    networks: Networks,
    discriminator: Player,
    generator: Player,
    averaged: AveragedGenerator,
    augment: Augmentations,
    loader: Loader,
) -> Game:
    """Tie players and data together."""
    accelerator = generator.accelerator
    latents = Latents(
        IndexedLatents(
            recipe.seed,
            networks.latent_dim,
            networks.latent_distribution,
            dataset.spec.num_classes,
            accelerator.device,
            class_counts(recipe, dataset),
        )
    )
    return AdversarialGame(
        discriminator=discriminator,
        generator=generator,
        averaged=averaged,
        augment=augment,
        loader=loader,
        source=latents,
        rank=accelerator.process_index,
        batch=recipe.training.batch_size // accelerator.num_processes,
        packing=recipe.discriminator.packing,
        reuse_fakes=recipe.performance.reuse_fakes,
    )
