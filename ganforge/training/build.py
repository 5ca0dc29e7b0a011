"""From a resolved recipe to the parts of a run. Only here are components made."""

from dataclasses import dataclass
from typing import Any

from accelerate import Accelerator
from torch import nn

from ganforge.data.dataset import Dataset
from ganforge.data.loader import Loader
from ganforge.errors import LaunchError, Problem, RecipeError
from ganforge.objectives import Objective
from ganforge.recipe import Recipe
from ganforge.registry import Kind, register
from ganforge.schedules import Schedule
from ganforge.spec import DataSpec
from ganforge.tables import ComponentTable
from ganforge.training import performance
from ganforge.training.augmentations import Augmentations
from ganforge.training.ema import AveragedGenerator
from ganforge.training.engine import WHOLE, Limits, make_engine
from ganforge.training.learning_rate import learning_rate_factor
from ganforge.training.packing import PackedDiscriminator, packed_spec
from ganforge.training.player import Player, WeightedPenalty
from ganforge.training.randomness import seed_everything
from ganforge.training.rank_batch_norm import replace_sync_batch_norm
from ganforge.training.start import local_world_size, make_accelerator
from ganforge.training.turn import Role


def build_component(recipe: Recipe, kind: Kind, table: ComponentTable, path: str, **offers: Any) -> Any:
    """Make one component; what its own checks refuse becomes a problem of the recipe.

    Raises:
        RecipeError: the component says that its options, or what it is offered, do not fit.
    """
    try:
        return kind.get(table.name).build(table, **offers)
    except ValueError as error:
        raise RecipeError(recipe.name, [Problem(path, f"{kind.name} '{table.name}': {error}")]) from error


def build_dataset(recipe: Recipe) -> Dataset:
    offers = {"cache_dir": recipe.cache_dir, "cache_limit_bytes": recipe.loader.cache_limit_bytes}
    return build_component(recipe, register.dataset, recipe.data, "data", **offers)


@dataclass(frozen=True)
class Networks:
    """The bare networks on the CPU, initialised from the recipe's seed: the same on every rank."""

    discriminator: nn.Module
    generator: nn.Module

    @property
    def latent_dim(self) -> int:
        return self.generator.latent_dim  # type: ignore[return-value]

    @property
    def latent_distribution(self) -> str:
        return getattr(self.generator, "latent_distribution", "normal")


def build_networks(recipe: Recipe, dataset: Dataset) -> Networks:
    """Each network is seeded by its role, so changing one leaves the other's start as it was."""
    made = {}
    for kind, table in ((register.discriminator, recipe.discriminator), (register.generator, recipe.generator)):
        seed_everything(recipe.seed, kind.name)
        is_packed = table is recipe.discriminator and recipe.discriminator.packing > 1
        spec = packed_spec(dataset.spec, recipe.discriminator.packing) if is_packed else dataset.spec
        made[kind.name] = build_component(recipe, kind, table, kind.name, spec=spec)
        if is_packed:
            made[kind.name] = PackedDiscriminator(made[kind.name], recipe.discriminator.packing)
    if not isinstance(getattr(made["generator"], "latent_dim", None), int):
        text = f"generator '{recipe.generator.name}' has no attribute latent_dim; set it to the size of its latent"
        raise RecipeError(recipe.name, [Problem("generator", text)])
    return Networks(**made)


def build_augmentation(recipe: Recipe, dataset: Dataset) -> Augmentations:
    """All augmentations in the order of the recipe, as one module."""
    steps = [
        build_component(recipe, register.augment, table, f"augment.{index}", spec=dataset.spec)
        for index, table in enumerate(recipe.augment)
    ]
    return Augmentations(*steps)


@dataclass(frozen=True)
class Terms:
    """What the players' losses are made of."""

    objective: Objective
    penalties: list[WeightedPenalty]

    def of(self, role: Role) -> list[WeightedPenalty]:
        """The penalties that join one player's loss."""
        return [weighted for weighted in self.penalties if weighted.penalty.player == role]


def build_terms(recipe: Recipe) -> Terms:
    penalties = []
    for index, table in enumerate(recipe.penalties):
        penalty = build_component(recipe, register.penalty, table, f"penalties.{index}")
        penalties.append(WeightedPenalty(table.name, penalty, table.weight, table.interval))
    return Terms(build_component(recipe, register.objective, recipe.objective, "objective"), penalties)


def build_schedule(recipe: Recipe) -> Schedule:
    return build_component(recipe, register.schedule, recipe.schedule, "schedule")


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
        reasons = performance.reasons_to_stay_eager(role, [weighted.penalty for weighted in terms.penalties])
        replace_sync_batch_norm(network, accelerator.device, performance.TWICE in reasons)
        if not reasons:
            performance.compile_network(network, recipe.performance, accelerator.device)
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
            learning_rate_factor=learning_rate_factor(table.warmup, table.decay, recipe.training.steps),
            limits=Limits(table.clip_norm, table.clip_value, table.clip_weights),
            turns_per_step=getattr(recipe.training, f"{role}_turns"),
            micro_batches=getattr(recipe.training, f"{role}_micro_batches"),
        )
        check_limits(player)
        check_weights(recipe, player, terms)
        players.append(player)
    return players[0], players[1]


def check_batch(recipe: Recipe, world_size: int) -> None:
    """Refuse a batch that does not divide into ranks and micro-batches.

    Raises:
        RecipeError: with the nearest sizes that would do.
    """
    training = recipe.training
    for count in (training.discriminator_micro_batches, training.generator_micro_batches):
        if training.batch_size % (world_size * count):
            pieces = world_size * count
            below = training.batch_size // pieces * pieces
            sizes = f"{below} or {below + pieces}" if below else str(pieces)
            text = f"{training.batch_size} does not divide by {world_size} ranks x {count} micro-batches; use {sizes}"
            raise RecipeError(recipe.name, [Problem("training.batch_size", text)])
        piece, packing = training.batch_size // (world_size * count), recipe.discriminator.packing
        if piece % packing:
            text = f"packs of {packing} do not divide the {piece} samples of a micro-batch on one rank; use a divisor"
            raise RecipeError(recipe.name, [Problem("discriminator.packing", text)])


def check_limits(player: Player) -> None:
    """Refuse limits that do not reach what ZeRO shards.

    Raises:
        LaunchError: naming them.
    """
    limits = player.limits
    if player.engine.layout != WHOLE and (limits.clip_value > 0 or limits.clip_weights > 0):
        raise LaunchError(
            f"optimizer.{player.role}: clip_value and clip_weights do not reach what {player.engine.layout} shards; "
            "use DDP, or clip_norm"
        )


NEEDS_WEIGHTS = {
    "needs_double_backward": "differentiates twice, so weights must be there after their layer's backward",
    "hooks_discriminator": "goes backward from inner layers of D, so weights must be there without the last layers'",
    "reads_weights": "looks at weights themselves",
}
"""Marks of penalties, and what for these need more than weights that come and go with their layer's passes."""


def check_weights(recipe: Recipe, player: Player, terms: Terms) -> None:
    """Refuse what looks at weights otherwise than a forward and its backward do, where each rank has its part only.

    Raises:
        LaunchError: naming the penalty, or the switch.
    """
    if player.engine.has_whole_weights:
        return
    remedy = f"but {player.engine.layout} keeps them in parts; use ZeRO 2 or DDP"
    for index, weighted in enumerate(terms.penalties):
        for mark, reason in NEEDS_WEIGHTS.items():
            if getattr(weighted.penalty, mark):
                raise LaunchError(f"penalties.{index}: '{weighted.name}' {reason}, {remedy}")
    if recipe.performance.compile:
        raise LaunchError(
            f"performance.compile: a compiled network wants weights that stay, {remedy}, or set it to false"
        )


def check_pairs(recipe: Recipe, objective: Objective, spec: DataSpec) -> None:
    """Refuse shared fakes where each turn needs fakes of its own reals' classes.

    Raises:
        RecipeError: naming the switch.
    """
    if objective.pairs_labels and recipe.performance.reuse_fakes and spec.num_classes > 0:
        text = f"objective '{recipe.objective.name}' pairs fakes with the classes of each turn's reals; set it to false"
        raise RecipeError(recipe.name, [Problem("performance.reuse_fakes", text)])


def check_boundary(recipe: Recipe, objective: Objective, schedule: Schedule, augment: Augmentations) -> None:
    """Refuse what goes by the sign of logits where the objective gives it no meaning.

    Raises:
        RecipeError: naming both.
    """
    if objective.has_boundary_at_zero:
        return
    places = [("schedule", recipe.schedule.name)] if schedule.needs_boundary_at_zero else []
    places += [
        (f"augment.{index}", recipe.augment[index].name)
        for index, step in augment.watching()
        if step.needs_boundary_at_zero
    ]
    if places:
        text = (
            f"goes by the sign of D's logits, which means nothing under objective '{recipe.objective.name}' as it is "
            "set; use it with bce, minimax or hinge"
        )
        raise RecipeError(recipe.name, [Problem(path, f"'{name}' {text}") for path, name in places])


def build_loader(recipe: Recipe, dataset: Dataset, accelerator: Accelerator) -> Loader:
    return Loader(
        dataset,
        batch_size=recipe.training.batch_size,
        rank=accelerator.process_index,
        world_size=accelerator.num_processes,
        seed=recipe.seed,
        device=accelerator.device,
        options=recipe.loader,
        cache_dir=recipe.cache_dir,
        local_rank=accelerator.local_process_index,
        local_world_size=local_world_size(),
    )


def build_average(recipe: Recipe, networks: Networks) -> AveragedGenerator:
    """The averaged generator; must be made before anything wraps the generator."""
    table = recipe.training
    return AveragedGenerator(networks.generator, half_life=table.ema, rampup=table.ema_rampup, start=table.ema_start)
