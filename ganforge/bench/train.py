"""`ganforge bench train`: the steps of a recipe, timed and counted, without a run folder."""

import math
import resource
import statistics
from dataclasses import asdict, dataclass
from typing import Any

import torch

from ganforge.bench.ceilings import Ceilings, measure_ceilings, now
from ganforge.bench.counting import gradient_bytes, operations_counted
from ganforge.errors import LaunchError
from ganforge.game.engine import WHOLE
from ganforge.game.player import Player
from ganforge.recipe import Recipe
from ganforge.training.run import Run
from ganforge.training.step import begin_step, finish_step, move

DTYPES = {"no": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class PlayerCost:
    """What one player's turn costs on one rank.

    Args:
        milliseconds: median time of a turn.
        flops: operations of a turn.
        traffic: bytes that a turn moves through memory when every operation runs by itself.
        communicated: bytes of gradients that ranks exchange at the end of a turn.
        turns: turns a step.
    """

    milliseconds: float
    flops: int
    traffic: int
    communicated: int
    turns: int


@dataclass(frozen=True)
class TrainReport:
    """What a recipe's steps cost here.

    Args:
        device: name of the device.
        precision: accelerate's mixed precision.
        ranks: number of processes.
        batch: pictures a step, over all ranks.
        steps: steps that were timed.
        milliseconds: median time of a step, with the device synchronised between turns.
        images_per_second: over all ranks, from the wall time of uninterrupted steps.
        wait_share: share of that time in which the host waited for data.
        reals: real samples that a step takes, over all ranks.
        sample_bytes: bytes of one of them, decoded.
        peak_memory: bytes of tensors on CUDA, elsewhere of the whole process.
        players: costs by role.
        ceilings: measured peaks of the device.
    """

    device: str
    precision: str
    ranks: int
    batch: int
    steps: int
    milliseconds: float
    images_per_second: float
    wait_share: float
    reals: float
    sample_bytes: int
    peak_memory: int
    players: dict[str, PlayerCost]
    ceilings: Ceilings

    def of_step(self, what: str) -> float:
        """A player's cost times its turns, summed: `flops`, `traffic`, `communicated` or `milliseconds`."""
        return sum(getattr(cost, what) * cost.turns for cost in self.players.values())

    @property
    def seconds(self) -> float:
        """Speed of an uninterrupted step."""
        return self.batch / self.images_per_second

    @property
    def flops_share(self) -> float:
        """Share of the measured peak of matrix products."""
        return self.of_step("flops") / self.seconds / self.ceilings.flops

    @property
    def traffic_share(self) -> float:
        """Share of the measured copy speed, if every operation went through memory."""
        return self.of_step("traffic") / self.seconds / self.ceilings.copy_bytes

    def to_dict(self) -> dict[str, Any]:
        own = {"flops_share": self.flops_share, "traffic_share": self.traffic_share}
        return {**asdict(self), **own}


def bench_train(recipe: Recipe, *, steps: int, warmup: int) -> TrainReport | None:
    """Build the run and step it; nothing is written. All ranks call it together.

    Args:
        recipe: resolved.
        steps: steps timed without interruption, and once more turn by turn.
        warmup: steps before that, at least one: first kernels, caches, compilation.

    Returns:
        the report of the main process, None on the others.

    Raises:
        LaunchError: the ranks do not hold whole gradients.
    """
    run = Run.build(recipe)
    if run.generator.engine.layout != WHOLE:
        raise LaunchError(
            "bench train counts what DDP exchanges; run it in one process or under DDP, without DeepSpeed"
        )
    try:
        report = measure(run, steps=steps, warmup=warmup)
        return report if run.accelerator.is_main_process else None
    finally:
        run.close()


def measure(run: Run, *, steps: int, warmup: int) -> TrainReport:
    """Measure a run that is built already."""
    accelerator = run.accelerator
    device = accelerator.device
    for _ in range(max(warmup, 1)):
        step(run)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    waited, taken, begin = run.loader.wait_seconds, run.loader.position, now(device)
    for _ in range(steps):
        step(run)
    wall = now(device) - begin
    waited = run.loader.wait_seconds - waited
    taken = (run.loader.position - taken) // run.recipe.training.batch_size
    peak = _peak_memory(device)
    times = [_timed_step(run) for _ in range(steps)]
    players = (run.discriminator, run.generator)
    costs = {
        player.role: _count(run, player, statistics.median(entry[player.role] for entry in times)) for player in players
    }
    run.meters.clear()
    batch = run.recipe.training.batch_size
    return TrainReport(
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        precision=accelerator.mixed_precision,
        ranks=accelerator.num_processes,
        batch=batch,
        steps=steps,
        milliseconds=statistics.median(sum(entry.values()) for entry in times),
        images_per_second=steps * batch / wall,
        wait_share=waited / wall,
        reals=taken * batch / steps,
        sample_bytes=math.prod(run.dataset.spec.shape) * run.dataset.dtype.itemsize,
        peak_memory=peak,
        players=costs,
        ceilings=measure_ceilings(device, DTYPES[accelerator.mixed_precision]),
    )


def step(run: Run) -> None:
    """One step, as the training loop does it between two log lines."""
    begin_step(run)
    move(run, run.discriminator, run.generator)
    move(run, run.generator, run.discriminator)
    finish_step(run)


def _timed_step(run: Run) -> dict[str, float]:
    """Milliseconds of each player's turns and of the rest, the device waited for in between."""
    device = run.accelerator.device
    marks = [now(device)]
    for moving, resting in ((run.discriminator, run.generator), (run.generator, run.discriminator)):
        move(run, moving, resting)
        marks.append(now(device))
    finish_step(run)
    marks.append(now(device))
    names = ("discriminator", "generator", "rest")
    return {name: 1e3 * (after - before) for name, before, after in zip(names, marks, marks[1:], strict=False)}


def _count(run: Run, moving: Player, milliseconds: float) -> PlayerCost:
    """A player's cost: its turns' time as measured, and counts from turns whose gradients are thrown away.

    Lazy penalties make turns unequal: each set of them that comes up is counted once and weighed by how often it does.
    """
    resting = run.generator if moving is run.discriminator else run.discriminator
    period = math.lcm(*(penalty.interval for penalty in moving.penalties))
    steps = [tuple(penalty.is_due(number) for penalty in moving.penalties) for number in range(period)]
    flops = traffic = 0.0
    communicated = 0
    for due in dict.fromkeys(steps):
        with resting.frozen(), operations_counted() as counter:
            last = moving.turns_per_step - 1 if moving is run.discriminator else 0
            for piece, turn in enumerate(run.game.turns(moving, steps.index(due), last)):
                moving.learn(turn, piece)
        flops += counter.flops * steps.count(due) / period
        traffic += counter.traffic * steps.count(due) / period
        communicated = gradient_bytes(moving.network)
        moving.network.zero_grad(set_to_none=True)
    return PlayerCost(
        milliseconds / moving.turns_per_step, round(flops), round(traffic), communicated, moving.turns_per_step
    )


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
