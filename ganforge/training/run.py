"""A run: everything that one training has, built from a recipe and ready to step."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from accelerate import Accelerator
from torch import Tensor, nn

from ganforge.building import cuda_graph, performance
from ganforge.building.checks import check_batch, check_boundary, check_classifier, check_pairs, check_translation
from ganforge.building.evaluator import build_back_evaluator, build_evaluator
from ganforge.building.game import build_game
from ganforge.building.networks import build_average, build_networks, joined_spec
from ganforge.building.parts import build_augmentation, build_dataset, build_loader, build_schedule
from ganforge.building.players import build_players
from ganforge.building.ramps import Ramp, build_ramps
from ganforge.building.source import build_judged, build_source, build_source_parts, class_counts
from ganforge.building.terms import build_terms
from ganforge.data.dataset import Dataset
from ganforge.data.loader import Loader
from ganforge.game.augmentations import Augmentations
from ganforge.game.averaged import AveragedGenerator
from ganforge.game.game import Game
from ganforge.game.networks import Networks
from ganforge.game.player import Player
from ganforge.game.randomness import seed_everything
from ganforge.game.recorded import RecordedTurns
from ganforge.game.running_statistics import RunningStatistics
from ganforge.game.schedule import Schedule
from ganforge.game.state import load_named_state, named_state
from ganforge.game.ways import WAYS
from ganforge.metrics.evaluator import Evaluator
from ganforge.parallel.launch import check_launch
from ganforge.recipe import Recipe
from ganforge.run_files import RunFolder
from ganforge.saved.generator_config import GeneratorConfig
from ganforge.telemetry.meters import Meters
from ganforge.telemetry.probe import Probe, build_probe
from ganforge.training.progress import Progress

REESTIMATION_BATCHES = 16
"""Number of batches from which the averaged generator's batch norm statistics are re-estimated."""


@dataclass
class Run:
    """The parts of a training, built from a recipe and ready to step.

    Args:
        recipe: resolved.
        dataset: real samples.
        networks: bare networks on the device.
        discriminator: player.
        generator: player.
        averaged: the averaged generator.
        statistics: running statistics of all networks, over the ranks.
        augment: augmentations between samples and the discriminator.
        schedule: who moves in which step.
        ramps: options whose values move with the images seen.
        loader: endless batches of reals; its position is part of the run's state.
        game: makes turns and samples.
        evaluator: metrics, or None.
        back_evaluator: those of the way back, of a game with two; or None.
        meters: figures since the last log line.
        recorded: plays turns of which some are recorded, or None.
        probe: takes the doctor's figures at log steps, or None.
        progress: how far the run has come.
    """

    recipe: Recipe
    dataset: Dataset
    networks: Networks
    discriminator: Player
    generator: Player
    averaged: AveragedGenerator
    statistics: RunningStatistics
    augment: Augmentations
    schedule: Schedule
    ramps: list[Ramp]
    loader: Loader
    game: Game
    evaluator: Evaluator | None
    meters: Meters
    recorded: RecordedTurns | None = None
    probe: Probe | None = None
    back_evaluator: Evaluator | None = None
    progress: Progress = field(default_factory=Progress)

    @classmethod
    def build(cls, recipe: Recipe) -> "Run":
        """Make every part. All ranks call it together."""
        check_launch()
        dataset = build_dataset(recipe)
        parts = build_source_parts(recipe, dataset)
        terms = build_terms(recipe)
        check_translation(recipe, terms, parts and parts.spec, dataset.spec)
        networks = build_networks(recipe, dataset, parts and parts.spec, two_ways=terms.go_back)
        check_classifier(recipe, terms.objective, networks.discriminator)
        averaged = build_average(recipe, networks)
        schedule = build_schedule(recipe)
        discriminator, generator = build_players(recipe, networks, terms)
        accelerator = generator.accelerator
        check_batch(recipe, accelerator.num_processes)
        performance.place(averaged.network, recipe.performance, accelerator.device, accelerator.mixed_precision)
        augment = build_augmentation(recipe, joined_spec(recipe, dataset.spec, networks.source))
        check_pairs(recipe, terms.objective, dataset.spec)
        check_boundary(recipe, terms.objective, schedule, augment)
        augment.to(accelerator.device)
        loader = build_loader(recipe, dataset, accelerator)
        judged = build_judged(recipe, dataset, parts and parts.domain)
        source = build_source(recipe, dataset, parts, judged, networks, accelerator)
        game = build_game(recipe, source, discriminator, generator, averaged, augment, loader)
        places = {
            "objective": terms.objective,
            "schedule": schedule,
            **{f"penalties.{index}": penalty for index, penalty in enumerate(terms.penalties)},
            **{f"augment.{index}": step for index, step in enumerate(augment)},
        }
        run = cls(
            recipe=recipe,
            dataset=dataset,
            networks=networks,
            discriminator=discriminator,
            generator=generator,
            averaged=averaged,
            statistics=_statistics(recipe, accelerator, networks, averaged, game),
            augment=augment,
            schedule=schedule,
            ramps=build_ramps(recipe, places, (discriminator, generator), averaged),
            loader=loader,
            game=game,
            evaluator=build_evaluator(recipe, judged.targets, accelerator, taught_by=dataset, judged=judged),
            back_evaluator=(
                build_back_evaluator(recipe, judged, parts.domain, accelerator)
                if networks.has_two_ways and parts is not None and parts.domain is not None
                else None
            ),
            meters=Meters(accelerator.device, has_accuracy=terms.objective.has_boundary_at_zero),
            recorded=cuda_graph.record_turns(recipe, (discriminator, generator), networks, augment),
            probe=build_probe(recipe, dataset, accelerator),
        )
        seed_everything(recipe.seed, f"rank {accelerator.process_index}")
        return run

    def close(self) -> None:
        """Stop reading, and let go of files."""
        self.loader.close()
        self.game.source.close()

    @property
    def players(self) -> tuple[Player, Player]:
        """Both players, in the order in which they move."""
        return self.discriminator, self.generator

    @property
    def accelerator(self) -> Accelerator:
        """The Accelerator of the run rather than of one player: ranks, device, reductions."""
        return self.generator.accelerator

    @property
    def folder(self) -> Path:
        return self.recipe.folder

    @property
    def files(self) -> RunFolder:
        """The run folder's files by name."""
        return self.recipe.files

    @property
    def step(self) -> int:
        """Finished alternations."""
        return self.progress.step

    @property
    def images(self) -> int:
        """Progress in images: the sum of the steps' global batches."""
        return self.progress.images

    @property
    def is_out_of_patience(self) -> bool:
        """Whether the last evaluations were no better than the best for longer than the recipe's patience allows."""
        return self.progress.is_out_of_patience(self.recipe.evaluation.patience)

    @property
    def learning_rate_scale(self) -> float:
        """The factor on the recipe's learning rates after the rollbacks so far."""
        return self.recipe.training.rollback_factor**self.progress.rollbacks

    def average(self, tensor: Tensor) -> Tensor:
        """The mean of a tensor over all ranks; all call it together."""
        return _average(self.accelerator, tensor)

    def saved_networks(self) -> dict[str, nn.Module]:
        """Every network of a checkpoint, bare, by its name there."""
        return _networks(self.networks, self.averaged)

    @contextmanager
    def gathered(self, writes: bool = False) -> Iterator[None]:
        """While inside, all weights of both players are on this rank; see `Engine.gathered`. All ranks together."""
        with self.discriminator.engine.gathered(writes), self.generator.engine.gathered(writes):
            yield

    def adaptive_state(self) -> dict[str, Any]:
        """What schedule and augmentations remember, each with its component's name."""
        steps = zip(self.recipe.augment, self.augment, strict=True)
        return {
            "schedule": named_state(self.recipe.schedule.name, self.schedule),
            "augment": [named_state(table.name, step) for table, step in steps],
        }

    def load_adaptive_state(self, state: dict[str, Any]) -> None:
        """Restore it in the parts that are still there."""
        load_named_state(self.recipe.schedule.name, self.schedule, state["schedule"])
        for table, step, saved in zip(self.recipe.augment, self.augment, state["augment"], strict=False):
            load_named_state(table.name, step, saved)

    def adaptive_figures(self) -> dict[str, float]:
        """Current values of schedule, augmentations and ramps, for the log. Waits for the device."""
        return {
            **{f"schedule/{name}": value for name, value in self.schedule.figures().items()},
            **{f"augment/{name}": float(value) for name, value in self.augment.figures().items()},
            **{f"ramp/{ramp.table.option}": ramp.value(self.images) for ramp in self.ramps},
        }

    def describe_performance(self) -> list[str]:
        """What the recipe's `[performance]` amounts to on this device, where the user should know."""
        penalties = [weighted.penalty for player in self.players for weighted in player.penalties]
        hears = self.discriminator.objective.needs_classifier
        not_recorded = cuda_graph.why_not_recorded(self.recipe, self.players, self.networks)
        return performance.describe(self.recipe.performance, penalties, hears, not_recorded=not_recorded)

    def generator_config(self) -> GeneratorConfig:
        """The config of the averaged generator at this step, with its figures if it was evaluated at this step."""
        is_evaluated = self.progress.figures_step == self.step
        return GeneratorConfig(
            generator=self.recipe.generator.model_dump(mode="json", exclude_none=True),
            spec=self.dataset.spec,
            source=self.networks.source,
            ways=WAYS if self.networks.has_two_ways else (),
            plugins=self.recipe.plugins,
            run=self.recipe.name,
            step=self.step,
            images=self.images,
            seed=self.recipe.seed,
            averaged=self.recipe.training.ema > 0,
            class_counts=class_counts(self.recipe, self.dataset),
            metrics=dict(self.progress.figures) if is_evaluated else {},
            protocol=self.evaluator.protocol.to_dict() if self.evaluator and is_evaluated else {},
        )


def _networks(networks: Networks, averaged: AveragedGenerator) -> dict[str, nn.Module]:
    return {
        "discriminator": networks.discriminator,
        "generator": networks.generator,
        "averaged": averaged.network,
    }


def _average(accelerator: Accelerator, tensor: Tensor) -> Tensor:
    return cast(Tensor, accelerator.reduce(tensor, reduction="mean"))


def _statistics(
    recipe: Recipe, accelerator: Accelerator, networks: Networks, averaged: AveragedGenerator, game: Game
) -> RunningStatistics:
    batch = range(recipe.training.batch_size)
    reestimates = recipe.training.ema_batch_norm == "reestimate"
    return RunningStatistics(
        _networks(networks, averaged),
        averaged,
        average=(lambda tensor: _average(accelerator, tensor)) if accelerator.num_processes > 1 else None,
        reestimate_from=(
            (lambda: (game.inputs("batch norm", number, batch) for number in range(REESTIMATION_BATCHES)))
            if reestimates
            else None
        ),
    )
