"""The latents and labels of a saved generator, by index."""

from torch import nn

from ganforge.errors import GanforgeError
from ganforge.game.latents import IndexedLatents
from ganforge.game.networks import latent_dim_of, latent_distribution_of
from ganforge.saved.generator_config import GeneratorConfig


def check_is_given_latents(config: GeneratorConfig) -> None:
    """Refuse a translator where latents are drawn.

    Raises:
        GanforgeError: naming what translates.
    """
    if config.source is not None:
        raise GanforgeError(
            f"this generator ('{config.generator['name']}', run '{config.run}') makes pictures of pictures and has no "
            "latents; use `ganforge translate`"
        )


def latents_of(network: nn.Module, config: GeneratorConfig, seed: int | None = None) -> IndexedLatents:
    """What to draw for a generator, on its device.

    Args:
        network: of the config.
        config: says how often it drew each class.
        seed: of the latents; by default that of its run, whose streams are then those that the run looked at.

    Raises:
        GanforgeError: the generator is given pictures.
    """
    check_is_given_latents(config)
    return IndexedLatents(
        config.seed if seed is None else seed,
        latent_dim_of(network),
        latent_distribution_of(network),
        config.spec.num_classes,
        next(network.parameters()).device,
        config.class_counts,
    )
