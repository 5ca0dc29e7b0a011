"""A run: everything that one training has, how it is saved, and how it comes back."""

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import accelerate
import torch
from accelerate import Accelerator
from torch import Tensor, nn

import ganforge
from ganforge.data.dataset import Dataset
from ganforge.data.loader import Loader
from ganforge.generator_file import GeneratorConfig, flat_state, save_generator
from ganforge.metrics.evaluator import Evaluator
from ganforge.recipe import Recipe, dump
from ganforge.training.build import (
    Networks,
    build_augmentation,
    build_average,
    build_dataset,
    build_evaluator,
    build_loader,
    build_networks,
    build_players,
    check_batch,
)
from ganforge.training.checkpoint import (
    Checkpoint,
    CheckpointWriter,
    prune,
    random_states,
    restore_random_states,
)
from ganforge.training.ema import AveragedGenerator
from ganforge.training.latents import labels, latents
from ganforge.training.meters import Meters
from ganforge.training.player import Player
from ganforge.training.randomness import seed_everything
from ganforge.training.turn import Turn


@dataclass
class Best:
    """The best evaluation so far."""

    name: str
    value: float
    step: int


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
        loader: endless batches of reals; its position is part of the run's state.
        evaluator: metrics, or None.
        meters: figures since the last log line.
    """

    recipe: Recipe
    dataset: Dataset
    networks: Networks
    discriminator: Player
    generator: Player
    averaged: AveragedGenerator
    augment: nn.Module
    loader: Loader
    evaluator: Evaluator | None
    meters: Meters
    step: int = 0
    best: Best | None = None
    figures: dict[str, float] = field(default_factory=dict)

    @classmethod
    def build(cls, recipe: Recipe) -> "Run":
        """Make every part. All ranks call it together."""
        dataset = build_dataset(recipe)
        networks = build_networks(recipe, dataset)
        averaged = build_average(recipe, networks)
        discriminator, generator = build_players(recipe, networks)
        accelerator = generator.accelerator
        check_batch(recipe, accelerator.num_processes)
        averaged.network.to(accelerator.device)
        augment = build_augmentation(recipe, dataset)
        augment.to(accelerator.device)
        run = cls(
            recipe=recipe,
            dataset=dataset,
            networks=networks,
            discriminator=discriminator,
            generator=generator,
            averaged=averaged,
            augment=augment,
            loader=build_loader(recipe, dataset, accelerator),
            evaluator=build_evaluator(recipe, dataset, accelerator),
            meters=Meters(accelerator.device),
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
            )
            for index in range(moving.micro_batches)
        ]

    def draw(self, stream: str, turn: int, indices: range) -> tuple[Tensor, Tensor | None]:
        """Latents `(len(indices), latent_dim)` and labels for generated samples, the same on any number of ranks."""
        seed, device = self.recipe.seed, self.accelerator.device
        dim, distribution = self.networks.latent_dim, self.networks.latent_distribution
        return (
            latents(seed, stream, turn, indices, dim, distribution, device),
            labels(seed, stream, turn, indices, self.dataset.spec.num_classes, device),
        )

    # --- what the averaged generator shows ---------------------------------------------------

    def share_running_statistics(self) -> None:
        """Average the running statistics of both networks over the ranks, before anybody looks at them.

        Each rank follows its own share of the batch, since broadcasting rank 0's before each forward costs a
        collective a forward and throws the others away. Running means are linear in the batches, so their average
        is what one process would have followed, whenever it is taken.
        """
        if self.accelerator.num_processes == 1:
            return
        networks = self._saved_networks().values()
        buffers = [buffer for network in networks for buffer in network.buffers() if buffer.is_floating_point()]
        if buffers:
            flat = torch.cat([buffer.flatten() for buffer in buffers])
            flat = cast(Tensor, self.accelerator.reduce(flat, reduction="mean"))
            for buffer, mean in zip(buffers, flat.split([buffer.numel() for buffer in buffers]), strict=True):
                buffer.copy_(mean.view_as(buffer))

    @torch.no_grad()
    def sample(self, stream: str, indices: range) -> Tensor:
        """Samples of the averaged generator by index, `(len(indices), *spec.shape)` on the device."""
        return self.averaged.network(*self.draw(stream, 0, indices))

    # --- checkpoints -------------------------------------------------------------------------

    def save_checkpoint(self) -> None:
        """Write a whole checkpoint, all ranks together; then drop the old ones that the recipe does not keep."""
        self.share_running_statistics()
        accelerator = self.accelerator
        writer = CheckpointWriter(self.folder / "checkpoints", self.step)
        if accelerator.is_main_process:
            writer.stage()
        accelerator.wait_for_everyone()
        rank_state = {"random": random_states(), "meters": self.meters.state_dict()}
        writer.write_rank(accelerator.process_index, rank_state)
        if accelerator.is_main_process:
            for name, network in self._saved_networks().items():
                writer.write_tensors(name, flat_state(network))
            writer.write_plain("training", self._training_state())
            writer.write_text("recipe.resolved.toml", dump(self.recipe))
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            writer.commit(self._plain_state())
            table = self.recipe.checkpoint
            prune(writer.folder, keep_last=table.keep_last, keep_every=table.keep_every)
            self.save_generator("last")
        accelerator.wait_for_everyone()

    def load_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Put everything back as it was at the end of the checkpoint's step."""
        for name, network in self._saved_networks().items():
            network.load_state_dict(checkpoint.tensors(name))
        state = checkpoint.plain("training")
        for player in (self.discriminator, self.generator):
            player.engine.load_state_dict(state[player.role])
        self.augment.load_state_dict(state["augment"])
        self.step = checkpoint.state["step"]
        self.loader.seek(checkpoint.state["batches"])
        self.best = Best(**checkpoint.state["best"]) if checkpoint.state["best"] else None
        own = checkpoint.rank(self.accelerator.process_index)
        if own is not None and checkpoint.state["world_size"] == self.accelerator.num_processes:
            self.meters.load_state_dict(own["meters"])
            restore_random_states(own["random"])
        else:
            seed_everything(self.recipe.seed, f"rank {self.accelerator.process_index} from step {self.step}")

    def _saved_networks(self) -> dict[str, nn.Module]:
        return {
            "discriminator": self.networks.discriminator,
            "generator": self.networks.generator,
            "averaged": self.averaged.network,
        }

    def _training_state(self) -> dict[str, Any]:
        players = {player.role: player.engine.state_dict() for player in (self.discriminator, self.generator)}
        return {"augment": self.augment.state_dict(), **players}

    def _plain_state(self) -> dict[str, Any]:
        return {
            "format": 1,
            "step": self.step,
            "images": self.images,
            "batches": self.loader.position,
            "best": asdict(self.best) if self.best else None,
            "world_size": self.accelerator.num_processes,
            "versions": {
                "ganforge": ganforge.__version__,
                "torch": torch.__version__,
                "accelerate": accelerate.__version__,
                "python": platform.python_version(),
            },
        }

    def save_generator(self, which: str, metrics: Mapping[str, Any] | None = None) -> Path:
        """Write the averaged generator with its config as `generator.<which>.safetensors`. Main process only."""
        path = self.folder / f"generator.{which}.safetensors"
        config = GeneratorConfig(
            generator=self.recipe.generator.model_dump(mode="json", exclude_none=True),
            spec=self.dataset.spec,
            plugins=self.recipe.plugins,
            run=self.recipe.name,
            step=self.step,
            images=self.images,
            seed=self.recipe.seed,
            averaged=self.recipe.training.ema > 0,
            metrics=dict(metrics if metrics is not None else self.figures),
        )
        save_generator(path, self.averaged.network, config)
        return path
