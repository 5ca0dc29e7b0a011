"""From a resolved recipe to the parts of a run. Only here are components made."""

from dataclasses import dataclass
from typing import Any

from accelerate import Accelerator
from torch import nn

from ganforge.data.dataset import Dataset
from ganforge.data.loader import Loader
from ganforge.errors import Problem, RecipeError
from ganforge.metrics.evaluator import Evaluator
from ganforge.objectives import Objective
from ganforge.recipe import Recipe
from ganforge.registry import Kind, register
from ganforge.tables import ComponentTable
from ganforge.training import performance
from ganforge.training.ema import AveragedGenerator
from ganforge.training.engine import make_engine
from ganforge.training.player import Player, WeightedPenalty
from ganforge.training.randomness import seed_everything
from ganforge.training.rank_batch_norm import replace_sync_batch_norm
from ganforge.training.schedule import learning_rate_schedule
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
    return build_component(recipe, register.dataset, recipe.data, "data", cache_dir=recipe.cache_dir)


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
        made[kind.name] = build_component(recipe, kind, table, kind.name, spec=dataset.spec)
    if not isinstance(getattr(made["generator"], "latent_dim", None), int):
        text = f"generator '{recipe.generator.name}' has no attribute latent_dim; set it to the size of its latent"
        raise RecipeError(recipe.name, [Problem("generator", text)])
    return Networks(**made)


def build_augmentation(recipe: Recipe, dataset: Dataset) -> nn.Module:
    """All augmentations in the order of the recipe, as one module."""
    steps = [
        build_component(recipe, register.augment, table, f"augment.{index}", spec=dataset.spec)
        for index, table in enumerate(recipe.augment)
    ]
    return nn.Sequential(*steps)


def build_players(recipe: Recipe, networks: Networks) -> tuple[Player, Player]:
    """Discriminator and generator, each with an Accelerator of its own."""
    objective: Objective = build_component(recipe, register.objective, recipe.objective, "objective")
    penalties: dict[str, list[WeightedPenalty]] = {"discriminator": [], "generator": []}
    for index, table in enumerate(recipe.penalties):
        penalty = build_component(recipe, register.penalty, table, f"penalties.{index}")
        penalties[penalty.player].append(WeightedPenalty(table.name, penalty, table.weight, table.interval))
    performance.choose_kernels(recipe.performance)
    players = []
    roles: tuple[tuple[Role, nn.Module], ...] = (
        ("discriminator", networks.discriminator),
        ("generator", networks.generator),
    )
    for role, network in roles:
        accelerator = make_accelerator(recipe.training.precision, role)
        performance.place(network.train(), recipe.performance, accelerator.device, accelerator.mixed_precision)
        own = [weighted.penalty for weighted in penalties[role]]
        replace_sync_batch_norm(network, accelerator.device, performance.differentiates_twice(own))
        performance.compile_network(network, recipe.performance, own, accelerator.device)
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
            objective=objective,
            penalties=penalties[role],
            schedule=learning_rate_schedule(table.warmup, table.decay, recipe.training.steps),
            turns_per_step=getattr(recipe.training, f"{role}_turns"),
            micro_batches=getattr(recipe.training, f"{role}_micro_batches"),
        )
        players.append(player)
    return players[0], players[1]


def check_batch(recipe: Recipe, world_size: int) -> None:
    """Refuse a batch that does not divide into ranks and micro-batches.

    Raises:
        RecipeError: with the nearest sizes that would do.
    """
    training = recipe.training
    pieces = world_size
    for count in (training.discriminator_micro_batches, training.generator_micro_batches):
        if training.batch_size % (world_size * count):
            pieces = world_size * count
            below = training.batch_size // pieces * pieces
            sizes = f"{below} or {below + pieces}" if below else str(pieces)
            text = f"{training.batch_size} does not divide by {world_size} ranks x {count} micro-batches; use {sizes}"
            raise RecipeError(recipe.name, [Problem("training.batch_size", text)])


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


def build_evaluator(recipe: Recipe, dataset: Dataset, accelerator: Accelerator) -> Evaluator | None:
    """None when the recipe lists no metrics."""
    table = recipe.evaluation
    if not table.metrics:
        return None
    offers = {"dataset": dataset, "cache_dir": recipe.cache_dir}
    metrics = [
        build_component(recipe, register.metric, metric, f"evaluation.metrics.{index}", **offers)
        for index, metric in enumerate(table.metrics)
    ]
    extractor = None
    if table.extractor is not None:
        extractor = build_component(recipe, register.extractor, table.extractor, "evaluation.extractor", **offers)
    for index, metric in enumerate(metrics):
        if metric.looks_at == "features" and extractor is None:
            text = f"'{table.metrics[index].name}' looks at features; add evaluation.extractor"
            raise RecipeError(recipe.name, [Problem(f"evaluation.metrics.{index}", text)])
    evaluator = Evaluator(
        metrics, extractor, dataset, accelerator, num_fakes=table.num_fakes, num_reals=table.num_reals
    )
    if table.best is not None and table.best not in evaluator.better():
        known = ", ".join(evaluator.better())
        raise RecipeError(
            recipe.name, [Problem("evaluation.best", f"no metric gives '{table.best}'; there are: {known}")]
        )
    return evaluator


def build_average(recipe: Recipe, networks: Networks) -> AveragedGenerator:
    """The averaged generator; must be made before anything wraps the generator."""
    return AveragedGenerator(networks.generator, half_life=recipe.training.ema, rampup=recipe.training.ema_rampup)
