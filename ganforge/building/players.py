"""The players, each with an Accelerator and an optimizer of its own."""

from torch import nn

from ganforge.building import performance
from ganforge.building.checks import check_limits, check_weights
from ganforge.building.parts import build_component
from ganforge.building.terms import Terms
from ganforge.game.engine import Limits
from ganforge.game.learning_rate import learning_rate_factor
from ganforge.game.networks import Networks
from ganforge.game.player import Player
from ganforge.game.rank_batch_norm import replace_sync_batch_norm
from ganforge.game.turn import Role
from ganforge.parallel.engines import make_engine
from ganforge.parallel.start import make_accelerator
from ganforge.recipe import Recipe
from ganforge.registry import register


def build_players(recipe: Recipe, networks: Networks, terms: Terms) -> tuple[Player, Player]:
    """Discriminator and generator, each with an Accelerator of its own."""
    performance.choose_kernels(recipe.performance)
    players = []
    roles: tuple[tuple[Role, nn.Module], ...] = (
        ("discriminator", networks.discriminator),
        ("generator", networks.generator),
    )
    for role, network in roles:
        accelerator = make_accelerator(recipe.training.precision, role)
        performance.keep_memory(recipe.performance, accelerator.device)
        performance.place(network.train(), recipe.performance, accelerator.device, accelerator.mixed_precision)
        reasons = performance.reasons_to_stay_eager(
            role, [weighted.penalty for weighted in terms.penalties], terms.objective.needs_classifier
        )
        replace_sync_batch_norm(network, accelerator.device, performance.TWICE in reasons)
        if not reasons:
            performance.compile_network(network, recipe.performance)
        table = getattr(recipe.optimizer, role)
        optimizer = build_component(
            recipe,
            register.optimizer,
            table,
            f"optimizer.{role}",
            params=[parameter for parameter in network.parameters() if parameter.requires_grad],
        )
        player = Player(
            role,
            make_engine(accelerator, network, optimizer, recipe.training.precision),
            objective=terms.objective,
            penalties=terms.of(role),
            learning_rate_factor=learning_rate_factor(table.warmup, table.decay, recipe.training.steps, table.constant),
            limits=Limits(table.clip_norm, table.clip_value, table.clip_weights),
            turns_per_step=getattr(recipe.training, f"{role}_turns"),
            micro_batches=getattr(recipe.training, f"{role}_micro_batches"),
        )
        check_limits(player)
        check_weights(recipe, player, terms)
        players.append(player)
    return players[0], players[1]
