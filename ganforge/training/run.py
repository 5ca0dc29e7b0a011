"""A run: everything that one training has, built from a recipe and ready to step."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from ganforge.data.dataset import Dataset
from ganforge.data.loader import Loader
from ganforge.generator_file import GeneratorConfig
from ganforge.metrics.evaluator import Evaluator
from ganforge.recipe import Recipe
from ganforge.schedules import Schedule
from ganforge.training import performance
from ganforge.training.augmentations import Augmentations
from ganforge.training.build import (
    Networks,
    build_augmentation,
    build_average,
    build_dataset,
    build_loader,
    build_networks,
    build_players,
    build_schedule,
    build_terms,
    check_batch,
    check_boundary,
    check_pairs,
)
from ganforge.training.ema import AveragedGenerator
from ganforge.training.evaluation import Best, build_evaluator
from ganforge.training.health.probe import Probe, build_probe
from ganforge.training.latents import labels, latents
from ganforge.training.meters import Meters
from ganforge.training.parallel_checks import check_launch
from ganforge.training.player import Player, load_named_state, named_state
from ganforge.training.ramps import Ramp, build_ramps
from ganforge.training.randomness import seed_everything
from ganforge.training.turn import Turn

REESTIMATION_BATCHES = 16
"""Batches of samples from which batch norm's statistics of the averaged generator are taken anew."""


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
        augment: between samples and the discriminator.
        schedule: who moves in which step.
        ramps: options that move with the images.
        loader: endless batches of reals; its position is part of the run's state.
        evaluator: metrics, or None.
        meters: figures since the last log line.
        probe: takes the doctor's figures at log steps, or None.
        step: finished alternations.
        best: the best evaluation so far.
        rollbacks: how often the run went back to a checkpoint after it diverged.
        figures: of the last evaluation.
        figures_step: when that was.
        evaluation_seconds: that this process has spent on metrics since `began`.
        began: reading of the clock when this process had built the run.
        class_counts: real samples of each class, by which fake labels are drawn; empty for all classes alike.
    """

    recipe: Recipe
    dataset: Dataset
    networks: Networks
    discriminator: Player
    generator: Player
    averaged: AveragedGenerator
    augment: Augmentations
    schedule: Schedule
    ramps: list[Ramp]
    loader: Loader
    evaluator: Evaluator | None
    meters: Meters
    probe: Probe | None = None
    step: int = 0
    best: Best | None = None
    rollbacks: int = 0
    figures: dict[str, float] = field(default_factory=dict)
    figures_step: int = -1
    evaluation_seconds: float = 0.0
    began: float = field(default_factory=time.perf_counter)
    class_counts: tuple[int, ...] = ()
    _fakes: tuple[Tensor, Tensor | None, Tensor] | None = None

    @classmethod
    def build(cls, recipe: Recipe) -> "Run":
        """Make every part. All ranks call it together."""
        check_launch()
        dataset = build_dataset(recipe)
        networks = build_networks(recipe, dataset)
        averaged = build_average(recipe, networks)
        terms = build_terms(recipe)
        schedule = build_schedule(recipe)
        discriminator, generator = build_players(recipe, networks, terms)
        accelerator = generator.accelerator
        check_batch(recipe, accelerator.num_processes)
        performance.place(averaged.network, recipe.performance, accelerator.device, accelerator.mixed_precision)
        augment = build_augmentation(recipe, dataset)
        check_pairs(recipe, terms.objective, dataset.spec)
        check_boundary(recipe, terms.objective, schedule, augment)
        augment.to(accelerator.device)
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
            augment=augment,
            schedule=schedule,
            ramps=build_ramps(recipe, places, (discriminator, generator), averaged),
            loader=build_loader(recipe, dataset, accelerator),
            evaluator=build_evaluator(recipe, dataset, accelerator),
            meters=Meters(accelerator.device),
            probe=build_probe(recipe, dataset, accelerator),
            class_counts=dataset.class_counts if recipe.training.fake_labels == "data" else (),
        )
        seed_everything(recipe.seed, f"rank {accelerator.process_index}")
        return run

    @property
    def accelerator(self) -> Accelerator:
        """For what concerns the run and not one player: ranks, device, reductions."""
        return self.generator.accelerator

    @property
    def folder(self) -> Path:
        return self.recipe.folder

    @property
    def images(self) -> int:
        """Progress in images: steps times the global batch."""
        return self.step * self.recipe.training.batch_size

    @property
    def is_out_of_patience(self) -> bool:
        """Whether so many evaluations were no better than the best that the recipe wants to stop."""
        patience = self.recipe.evaluation.patience
        return self.best is not None and 0 < patience <= self.best.stale

    @property
    def learning_rate_scale(self) -> float:
        """What rollbacks left of the recipe's learning rates."""
        return self.recipe.training.rollback_factor**self.rollbacks

    def average(self, tensor: Tensor) -> Tensor:
        """The mean of a tensor over all ranks; all call it together."""
        return cast(Tensor, self.accelerator.reduce(tensor, reduction="mean"))

    # --- what a turn needs -------------------------------------------------------------------

    def turns(self, moving: Player, turn: int) -> list[Turn]:
        """One move, in micro-batches. Takes real samples from the loader only if a term looks at them.

        Args:
            moving: whose move.
            turn: number of this player's move in the step.
        """
        batch = self.recipe.training.batch_size // self.accelerator.num_processes
        first = batch * self.accelerator.process_index
        number = self.step * moving.turns_per_step + turn
        samples, real_labels = None, None
        if moving.sees_real(self.step):
            real = self.loader.next()
            samples, real_labels = real.samples, real.labels
        latent, fake_labels = self.draw(moving.role, number, range(first, first + batch))
        if moving.objective.pairs_labels and real_labels is not None:
            fake_labels = real_labels
        made = None
        if self.recipe.performance.reuse_fakes:
            latent, fake_labels, made = self._shared_fakes(moving, turn, latent, fake_labels)
        size = batch // moving.micro_batches

        def piece(values: Tensor | None, index: int) -> Tensor | None:
            return None if values is None else values[index * size : (index + 1) * size]

        return [
            Turn(
                player=moving.role,
                step=self.step,
                generator=self.generator,
                discriminator=self.discriminator,
                latent=latent[index * size : (index + 1) * size],
                fake_labels=piece(fake_labels, index),
                real_samples=piece(samples, index),
                real_labels=piece(real_labels, index),
                augment=self.augment,
                made=piece(made, index),
                packing=self.recipe.discriminator.packing,
            )
            for index in range(moving.micro_batches)
        ]

    def _shared_fakes(
        self, moving: Player, turn: int, latent: Tensor, fake_labels: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """With `performance.reuse_fakes`: D's last turn makes fakes with a graph, and G's first turn learns from them.

        G does not move in between, so its gradients are those of a forward of its own.
        """
        if moving is self.discriminator and turn == moving.turns_per_step - 1:
            self._fakes = (latent, fake_labels, self.generator.thawed(latent, fake_labels))
            return self._fakes
        if moving is self.generator and turn == 0:
            assert self._fakes is not None
            shared, self._fakes = self._fakes, None
            return shared
        return latent, fake_labels, None

    def draw(self, stream: str, turn: int, indices: range) -> tuple[Tensor, Tensor | None]:
        """Latents `(len(indices), latent_dim)` and labels for generated samples, the same on any number of ranks."""
        seed, device = self.recipe.seed, self.accelerator.device
        dim, distribution = self.networks.latent_dim, self.networks.latent_distribution
        num_classes = self.dataset.spec.num_classes
        return (
            latents(seed, stream, turn, indices, dim, distribution, device),
            labels(seed, stream, turn, indices, num_classes, device, counts=self.class_counts),
        )

    # --- what the averaged generator shows ---------------------------------------------------

    @contextmanager
    def shown(self) -> Iterator[None]:
        """While inside, all networks have the running statistics that are for looking at. All ranks together.

        Each rank follows its own share of the batch, since broadcasting rank 0's before each forward costs a
        collective a forward and throws the others away. Running means are linear in the batches, so their average
        over the ranks is what one process would have followed. Afterwards each rank has its own again: neither looking
        nor saving changes the training, not even by a rounding.
        """
        own = self.own_statistics()
        try:
            self._share_running_statistics()
            if self.recipe.training.ema_batch_norm == "reestimate":
                self.averaged.reestimate(
                    self.draw("batch norm", number, range(self.recipe.training.batch_size))
                    for number in range(REESTIMATION_BATCHES)
                )
            yield
        finally:
            self.load_own_statistics(own)

    def own_statistics(self) -> dict[str, Tensor]:
        """Copies of the running statistics that `shown` would change, by network and name; of this rank alone."""
        if self.accelerator.num_processes == 1 and self.recipe.training.ema_batch_norm == "average":
            return {}
        return {name: buffer.clone() for name, buffer in self._statistics().items()}

    def load_own_statistics(self, own: dict[str, Tensor]) -> None:
        """Put them back."""
        statistics = self._statistics()
        for name, mine in own.items():
            statistics[name].copy_(mine)

    def _statistics(self) -> dict[str, Tensor]:
        return {
            f"{role}.{name}": buffer
            for role, network in self.saved_networks().items()
            for name, buffer in network.named_buffers()
            if buffer.is_floating_point()
        }

    def _share_running_statistics(self) -> None:
        """Average them over the ranks, in one message."""
        buffers = list(self._statistics().values())
        if self.accelerator.num_processes > 1 and buffers:
            mean = self.average(torch.cat([buffer.flatten() for buffer in buffers]))
            for buffer, part in zip(buffers, mean.split([buffer.numel() for buffer in buffers]), strict=True):
                buffer.copy_(part.view_as(buffer))

    @torch.no_grad()
    def sample(self, stream: str, indices: range) -> Tensor:
        """Samples of the averaged generator by index, `(len(indices), *spec.shape)` on the device."""
        return self.averaged.network(*self.draw(stream, 0, indices))

    def state_of_game(self) -> dict[str, float]:
        """What schedule, augmentations and ramps have come to, for the log. Waits for the device."""
        return {
            **{f"schedule/{name}": value for name, value in self.schedule.figures().items()},
            **{f"augment/{name}": float(value) for name, value in self.augment.figures().items()},
            **{f"ramp/{ramp.table.option}": ramp.value(self.images) for ramp in self.ramps},
        }

    def describe_performance(self) -> list[str]:
        """What the recipe's `[performance]` comes to here, where that needs saying."""
        penalties = [
            weighted.penalty for player in (self.discriminator, self.generator) for weighted in player.penalties
        ]
        return performance.describe(self.recipe.performance, self.accelerator.device, penalties)

    # --- what is saved -----------------------------------------------------------------------

    def saved_networks(self) -> dict[str, nn.Module]:
        return {
            "discriminator": self.networks.discriminator,
            "generator": self.networks.generator,
            "averaged": self.averaged.network,
        }

    @contextmanager
    def whole(self, writes: bool = False) -> Iterator[None]:
        """While inside, all weights of both players are on this rank; see `Engine.whole`. All ranks together."""
        with self.discriminator.engine.whole(writes), self.generator.engine.whole(writes):
            yield

    def game_state(self) -> dict[str, Any]:
        """What schedule and augmentations remember, each with its component's name."""
        steps = zip(self.recipe.augment, self.augment, strict=True)
        return {
            "schedule": named_state(self.recipe.schedule.name, self.schedule),
            "augment": [named_state(table.name, step) for table, step in steps],
        }

    def load_game_state(self, state: dict[str, Any]) -> None:
        load_named_state(self.recipe.schedule.name, self.schedule, state["schedule"])
        for table, step, saved in zip(self.recipe.augment, self.augment, state["augment"], strict=False):
            load_named_state(table.name, step, saved)

    def generator_config(self) -> GeneratorConfig:
        """What the averaged generator is at this step, with its figures if it was evaluated at this step."""
        return GeneratorConfig(
            generator=self.recipe.generator.model_dump(mode="json", exclude_none=True),
            spec=self.dataset.spec,
            plugins=self.recipe.plugins,
            run=self.recipe.name,
            step=self.step,
            images=self.images,
            seed=self.recipe.seed,
            averaged=self.recipe.training.ema > 0,
            class_counts=self.class_counts,
            metrics=dict(self.figures) if self.figures_step == self.step else {},
            protocol=self.evaluator.protocol.to_dict() if self.evaluator and self.figures_step == self.step else {},
        )
