"""Loops in one ring: built side by side, stepped in turns, timed by a process's CPU time or the GPU's clock."""

import multiprocessing
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from accelerate.state import AcceleratorState

from ganforge.bench.train import step as take_step
from ganforge.data.dataset import ArrayDataset
from ganforge.recipe import Recipe, resolve
from ganforge.registry import register
from ganforge.spec import DataSpec
from ganforge.training.run import Run


@register.dataset("bench-noise")
class Noise(ArrayDataset):
    """Pictures of noise: a step costs the same whatever they show.

    Args:
        size: side.
        samples: how many.
    """

    def __init__(self, *, size: int = 64, samples: int = 4096) -> None:
        rows = np.random.default_rng(0).integers(0, 256, (samples, size, size, 3), np.uint8)
        super().__init__(rows, DataSpec((3, size, size)), f"noise {size} {samples}")


def contest_recipe(batch_size: int, **changes: Any) -> Recipe:
    """The classic networks and settings at 64x64; `changes` are keys of tables, as in `performance={...}`."""
    table: dict[str, Any] = {
        "name": "contest",
        "output": tempfile.gettempdir(),
        "data": {"name": "bench-noise", "cache_dir": tempfile.gettempdir()},
        "generator": {"name": "dcgan"},
        "discriminator": {"name": "dcgan"},
        "training": {"steps": 1_000_000, "batch_size": batch_size, "precision": "no"},
    }
    for key, value in changes.items():
        table[key] = {**table.get(key, {}), **value} if isinstance(value, Mapping) else value
    return resolve(table)


class OurLoop:
    """What `ganforge train` does between two log lines."""

    def __init__(self, recipe: Recipe) -> None:
        AcceleratorState._reset_state(reset_partial_state=False)  # each entry has a precision of its own
        self.run = Run.build(recipe)

    def step(self) -> None:
        take_step(self.run)


@dataclass(frozen=True)
class Result:
    """One entry's seconds a step, a figure a round."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def least(self) -> float:
        return min(self.seconds)

    def ratio_to(self, other: "Result") -> tuple[float, float, float]:
        """How many times faster than `other`: median and quartiles of the rounds' own ratios."""
        ratios = [theirs / mine for mine, theirs in zip(self.seconds, other.seconds, strict=True)]
        if len(ratios) < 2:
            return ratios[0], ratios[0], ratios[0]
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        return middle, low, high


def compete(
    entries: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    steps: int,
    warmup: int,
    device: torch.device,
    prepare: Mapping[str, Callable[[], object]] | None = None,
) -> dict[str, Result]:
    """Step every entry in every round, in a new order each time, so that what disturbs one disturbs all.

    Args:
        entries: a step of each.
        rounds: how often each is timed.
        steps: steps in one timing.
        warmup: steps of each before the first round.
        device: a CPU is timed by this process's CPU time, since others may share the machine; a GPU by the wall.
        prepare: what to call before a timing of an entry, such as setting process-wide switches.
    """
    prepare = prepare or {}

    def timer(name: str) -> Timer:
        def seconds(count: int) -> float:
            prepare.get(name, lambda: None)()
            return _seconds(entries[name], count, device)

        return seconds

    return _play({name: timer(name) for name in entries}, rounds, steps, warmup)


def compete_apart(
    entries: Mapping[str, Callable[[], Callable[[], object]]],
    *,
    rounds: int,
    steps: int,
    warmup: int,
    device: torch.device,
) -> dict[str, Result]:
    """The same with each entry in a process of its own, since some set things for a whole process, as `malloc`'s.

    Args:
        entries: what makes each in its process and returns its step; can be pickled.
        rounds: how often each is timed.
        steps: steps in one timing.
        warmup: steps of each before the first round.
        device: a CPU is timed by the entry's CPU time, a GPU by the wall.
    """
    context = multiprocessing.get_context("spawn")
    timers: dict[str, Timer] = {}
    for name, make in entries.items():
        mine, theirs = context.Pipe()
        context.Process(target=_serve, args=(theirs, make, device), daemon=True).start()
        theirs.close()

        def seconds(count: int, pipe: Connection = mine) -> float:
            pipe.send(count)
            return pipe.recv()

        timers[name] = seconds
    return _play(timers, rounds, steps, warmup)


Timer = Callable[[int], float]
"""Takes a number of steps and returns the seconds of one."""


def _play(timers: Mapping[str, Timer], rounds: int, steps: int, warmup: int) -> dict[str, Result]:
    for seconds in timers.values():
        if warmup:
            seconds(warmup)
    taken: dict[str, list[float]] = {name: [] for name in timers}
    order = list(timers)
    generator = random.Random(0)
    for _ in range(rounds):
        generator.shuffle(order)
        for name in order:
            taken[name].append(timers[name](steps))
    return {name: Result(tuple(values)) for name, values in taken.items()}


def _serve(pipe: Connection, make: Callable[[], Callable[[], object]], device: torch.device) -> None:
    """Time steps as often as asked, until nobody is there to ask."""
    step = make()
    try:
        while True:
            pipe.send(_seconds(step, pipe.recv(), device))
    except EOFError:
        return


def _seconds(step: Callable[[], object], count: int, device: torch.device) -> float:
    begin = _clock(device)
    for _ in range(count):
        step()
    return (_clock(device) - begin) / count


def _clock(device: torch.device) -> float:
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def markdown(results: Mapping[str, Result], reference: str, batch_size: int) -> list[str]:
    """A table: each entry's ms a step, images/s and ratio to the reference with its quartiles."""
    lines = ["| loop | ms a step | images/s | times the reference (quartiles) |", "|---|---:|---:|---:|"]
    for name, result in results.items():
        middle, low, high = result.ratio_to(results[reference])
        lines.append(
            f"| {name} | {result.median * 1e3:,.1f} | {batch_size / result.median:,.0f} "
            f"| {middle:.2f} ({low:.2f} to {high:.2f}) |"
        )
    return lines
