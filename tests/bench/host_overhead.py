"""What a step costs the host, in our loop and in the same game by hand: `python tests/bench/host_overhead.py`.

The networks are so small that kernels nearly vanish, so what differs is the loops themselves: `celeba64` at width 4 and
batch 2, and `ring2d` as it is. Ours takes log lines and the doctor's figures as by default. Beside them stand the same
game on Accelerate and, where it is installed, on Lightning Fabric. In CPU time; one thread is steadiest:
`OMP_NUM_THREADS=1`.
"""

import argparse
import copy
import importlib.util
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from contest import OurLoop, compete
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional

from ganforge.recipe import Recipe, resolve
from ganforge.telemetry.progress import ProgressDisplay
from ganforge.telemetry.tracking import Tracking
from ganforge.training.between_steps.doctor import Watch
from ganforge.training.between_steps.log import Stopwatch, log_figures
from ganforge.training.loop import due
from ganforge.training.run import Run

ROOT = Path(__file__).parents[2]
BY_HAND = "by hand"
GAMES: dict[str, dict[str, dict[str, Any]]] = {
    "celeba64": {
        "data": {"name": "bench-noise"},
        "generator": {"width": 4},
        "discriminator": {"width": 4},
        "training": {"batch_size": 2},
    },
    "ring2d": {},
}
"""Recipes, and what is changed in their tables."""


def game_recipe(name: str, output: str) -> Recipe:
    """A recipe of `GAMES`, on one process and a CPU or GPU in float32."""
    table = tomllib.loads((ROOT / f"recipes/{name}.toml").read_text())
    changes = GAMES[name]
    if "data" in changes:
        table["data"] = {}
    for key, values in changes.items():
        table[key] = {**table[key], **values}
    table["data"]["cache_dir"] = output
    table["training"]["precision"] = "no"
    return resolve({**table, "output": output})


class Ours(OurLoop):
    """What `ganforge train` does, with its log lines, but without pictures, evaluations and checkpoints."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        recipe.folder.mkdir(parents=True, exist_ok=True)
        self.display = ProgressDisplay(Console(quiet=True), start=0, total=10**9)
        self.tracking = Tracking(recipe, 0, self.display.cannot_write)
        self.doctor = Watch(self.run, self.tracking, self.display)
        self.watch = Stopwatch(self.run)

    def silent_step(self) -> None:
        """Without a log line, though the figures for one are gathered."""
        super().step()
        self.display.advance(self.run.images)

    def step(self) -> None:
        self.silent_step()
        if due(self.run.step, self.run.recipe.training.log_every):
            self.doctor.look(log_figures(self.run, self.tracking, self.display, self.watch))


class ByHand:
    """The recipe's game as one writes it for this one case: binary cross-entropy, Adam, and an average of G's weights.

    Args:
        run: whose networks are copied, so that both begin alike, and whose data is read.
    """

    def __init__(self, run: Run) -> None:
        recipe = run.recipe
        self.device = run.accelerator.device
        self.batch = recipe.training.batch_size
        self.is_uniform = run.networks.latent_distribution == "uniform"
        self.latent_dim = run.networks.latent_dim
        self.half_life = recipe.training.ema
        self.images = self.position = 0
        self.rows = torch.from_numpy(run.dataset.rows).to(self.device)  # type: ignore[attr-defined]
        self.order = torch.randperm(len(self.rows), device=self.device)
        self.generator = copy.deepcopy(run.networks.generator).train()
        self.discriminator = copy.deepcopy(run.networks.discriminator).train()
        self.averaged = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self.weights_d = list(self.discriminator.parameters())
        self.optimizer_g = _adam(self.generator, recipe.optimizer.generator)
        self.optimizer_d = _adam(self.discriminator, recipe.optimizer.discriminator)
        self.mine, self.theirs = _weights_and_statistics(self.averaged), _weights_and_statistics(self.generator)
        self.losses = [torch.zeros((), device=self.device) for _ in range(2)]
        self.prepare()

    def prepare(self) -> None:
        """Where a library wraps networks and optimizers."""

    def backward(self, loss: Tensor) -> None:
        loss.backward()  # type: ignore[no-untyped-call]

    def reals(self) -> Tensor:
        if self.position + self.batch > len(self.rows):
            self.order, self.position = torch.randperm(len(self.rows), device=self.device), 0
        chosen = self.order[self.position : self.position + self.batch]
        self.position += self.batch
        rows = self.rows.index_select(0, chosen)
        if rows.dtype != torch.uint8:
            return rows
        pictures = torch.empty(rows.permute(0, 3, 1, 2).shape, memory_format=torch.channels_last, device=self.device)
        return pictures.copy_(rows.permute(0, 3, 1, 2)).mul_(1 / 127.5).sub_(1)

    def latents(self) -> Tensor:
        if self.is_uniform:
            return torch.rand(self.batch, self.latent_dim, device=self.device).mul_(2).sub_(1)
        return torch.randn(self.batch, self.latent_dim, device=self.device)

    def step(self) -> None:
        real = self.reals()
        with torch.no_grad():
            fake = self.generator(self.latents(), None)
        on_real, on_fake = self.discriminator(real, None), self.discriminator(fake, None)
        loss = _cross_entropy(on_real, 1.0) + _cross_entropy(on_fake, 0.0)
        self.backward(loss)
        self.optimizer_d.step()
        self.optimizer_d.zero_grad()
        self.losses[0] += loss.detach()

        for weight in self.weights_d:
            weight.requires_grad = False
        loss = _cross_entropy(self.discriminator(self.generator(self.latents(), None), None), 1.0)
        self.backward(loss)
        self.optimizer_g.step()
        self.optimizer_g.zero_grad()
        for weight in self.weights_d:
            weight.requires_grad = True
        self.losses[1] += loss.detach()

        self.images += self.batch
        half_life = min(self.half_life, 0.05 * self.images)
        with torch.no_grad():
            torch._foreach_lerp_(  # pyright: ignore[reportPrivateImportUsage]
                self.mine, self.theirs, 1.0 - 0.5 ** (self.batch / half_life)
            )


class OnAccelerate(ByHand):
    """Accelerate's plain loop: one Accelerator, everything prepared by it."""

    def prepare(self) -> None:
        self.accelerator = Accelerator()
        self.generator, self.discriminator, self.optimizer_g, self.optimizer_d = self.accelerator.prepare(
            self.generator, self.discriminator, self.optimizer_g, self.optimizer_d
        )

    def backward(self, loss: Tensor) -> None:
        self.accelerator.backward(loss)


class OnFabric(ByHand):
    """Lightning Fabric's."""

    def prepare(self) -> None:
        from lightning_fabric import Fabric  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

        self.fabric = Fabric(accelerator=self.device.type, devices=1)
        self.generator, self.optimizer_g = self.fabric.setup(self.generator, self.optimizer_g)
        self.discriminator, self.optimizer_d = self.fabric.setup(self.discriminator, self.optimizer_d)

    def backward(self, loss: Tensor) -> None:
        self.fabric.backward(loss)


def _adam(network: nn.Module, table: Any) -> torch.optim.Optimizer:
    return torch.optim.Adam(network.parameters(), lr=table.lr, betas=table.betas, foreach=True)


def _cross_entropy(logits: Tensor, label: float) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


def _weights_and_statistics(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *(buffer for buffer in network.buffers() if buffer.is_floating_point())]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--games", nargs="+", default=list(GAMES), choices=GAMES)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=100, help="in one timing; a multiple of log_every, 100")
    options = parser.parse_args()
    for name in options.games:
        with tempfile.TemporaryDirectory() as folder:
            ours = Ours(game_recipe(name, folder))
            entries: dict[str, Callable[[], object]] = {BY_HAND: ByHand(ours.run).step, "ganforge": ours.step}
            entries["ganforge without log lines"] = ours.silent_step
            entries["Accelerate"] = OnAccelerate(ours.run).step
            if importlib.util.find_spec("lightning_fabric"):
                entries["Lightning Fabric"] = OnFabric(ours.run).step
            else:
                print("Lightning Fabric is not installed (pip install lightning-fabric) and left out")
            device = ours.run.accelerator.device
            results = compete(entries, rounds=options.rounds, steps=options.steps, warmup=options.steps, device=device)
        print(f"{name}, {options.rounds} rounds of {options.steps} steps, {torch.get_num_threads()} threads\n")
        print("| loop | us a step, median | least | times by hand, median (quartiles) | of the least |")
        print("|---|---:|---:|---:|---:|")
        base = results[BY_HAND]
        for loop, result in results.items():
            middle, low, high = base.ratio_to(result)
            print(
                f"| {loop} | {1e6 * result.median:,.0f} | {1e6 * result.least:,.0f} "
                f"| {middle:.3f} ({low:.3f} to {high:.3f}) | {result.least / base.least:.3f} |",
                flush=True,
            )
        print()


if __name__ == "__main__":
    main()
