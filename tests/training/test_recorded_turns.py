"""Recorded turns, on a CPU: an emulation notes every operation of a turn and does it again on the same memory."""

import copy
import random
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from ganforge.game.recorded import SIGHTINGS, NotRepeatable, RecordedTurns
from ganforge.penalties import Penalty
from ganforge.registry import register
from ganforge.training.run import Run
from ganforge.training.step import begin_step, finish_step, move


class Emulated(TorchDispatchMode):
    """A recording as a CUDA graph makes it: operations on fixed memory, and nothing of what the host does."""

    made = 0

    def __init__(self) -> None:
        super().__init__()
        Emulated.made += 1
        self._operations: list[tuple[Any, Any, Any, Any]] = []
        self._is_done = False

    def record(self, work: Callable[[], None]) -> None:
        with self:
            work()
        self._is_done = True  # a graph would only do it in its first replay

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        self._operations.append((func, args, kwargs or {}, made))
        return made

    @torch.no_grad()
    def replay(self) -> None:
        if self._is_done:
            self._is_done = False
            return
        for func, args, kwargs, made in self._operations:
            again = func(*args, **kwargs)

            def put(was: Any, now: Any) -> None:
                if isinstance(was, Tensor):
                    if was.data_ptr() != now.data_ptr():
                        was.detach().copy_(now)
                elif isinstance(was, list | tuple):
                    for one, other in zip(was, now, strict=True):
                        put(one, other)

            put(made, again)


def step(run: Run) -> str:
    begin_step(run)
    for moving, resting in ((run.discriminator, run.generator), (run.generator, run.discriminator)):
        if run.schedule.moves(moving.role):
            move(run, moving, resting)
    return finish_step(run)


def state(run: Run) -> list[Tensor]:
    tensors = [value for network in run.saved_networks().values() for value in network.state_dict().values()]
    states: list[Tensor] = []
    tree_map(lambda value: states.append(value) if isinstance(value, Tensor) else None, run.discriminator.state_dict())
    tree_map(lambda value: states.append(value) if isinstance(value, Tensor) else None, run.adaptive_state())
    tree_map(lambda value: states.append(value) if isinstance(value, Tensor) else None, run.meters.state_dict())
    return [value.clone() for value in (*tensors, *states, torch.get_rng_state())]


def both(make_recipe, steps: int, **changes: Any) -> tuple[Run, Run, list[str], int]:
    """The same run without and with recordings; what was said, and how many recordings there were."""
    news: list[str] = []
    runs = []
    Emulated.made = 0
    for records in (False, True):
        run = Run.build(make_recipe(**changes))
        if records:
            run.recorded = RecordedTurns(run.augment, Emulated)
        for _ in range(steps):
            news += filter(None, step(run).splitlines())
        runs.append(run)
    return (*runs, news, Emulated.made)


RESNET = {"name": "resnet", "width": 2}
STYLE = {"name": "stylegan2", "channel_max": 8, "mapping_layers": 2, "mixing": 0.9}
PICTURES: dict[str, Any] = {
    "data": {"name": "testing_pictures", "size": 16, "channels": 3, "samples": 64},
    "plugins": ["ganforge.testing.pictures"],
    "generator": {"name": "dcgan", "width": 4},
    "discriminator": {"name": "dcgan", "width": 4},
}


@pytest.mark.parametrize(
    ("changes", "recordings"),
    [
        ({}, 2),
        ({"training": {"discriminator_turns": 2, "generator_micro_batches": 2}}, 2),
        ({"penalties": [{"name": "r1", "interval": 2}]}, 3),
        ({"penalties": [{"name": "gradient_penalty"}], "objective": {"name": "wasserstein"}}, 2),
        ({"optimizer": {"generator": {"name": "adam", "clip_norm": 0.5, "warmup": 5}}}, 2),
        ({**PICTURES, "augment": [{"name": "diffaugment"}]}, 2),
        ({**PICTURES, "augment": [{"name": "ada", "initial": 0.3}]}, 2),
        ({**PICTURES, "generator": STYLE, "discriminator": {"name": "stylegan2", "channel_max": 8}}, 2),
        ({**PICTURES, "generator": RESNET, "discriminator": {**RESNET, "spectral_norm": True}}, 2),
        ({"schedule": {"name": "two_phase", "window": 2}}, 2),
        ({"training": {"precision": "bf16"}}, 2),
    ],
    ids=["plain", "turns", "lazy", "gp", "clipped", "diffaugment", "ada", "stylegan2", "resnet", "schedule", "bf16"],
)
def test_recorded_turns_train_the_same_to_the_last_bit(make_recipe, changes, recordings):
    changes = {**changes, "training": {"steps": 100, "log_every": 4, **changes.get("training", {})}}
    plain, recorded, news, made = both(make_recipe, 14, **changes)
    for one, other in zip(state(plain), state(recorded), strict=True):
        assert torch.equal(one, other)
    assert made >= recordings
    assert [line for line in news if "recorded" in line] == []


def test_a_ramp_that_moves_an_option_waits_for_its_end(make_recipe):
    changes = {
        "penalties": [{"name": "r1"}],
        "training": {"steps": 100, "batch_size": 16},
        "ramps": [{"option": "penalties.0.weight", "start": 1.0, "end": 2.0, "over": 16 * 6}],
    }
    plain, recorded, news, made = both(make_recipe, 12, **changes)
    for one, other in zip(state(plain), state(recorded), strict=True):
        assert torch.equal(one, other)
    assert (news, made) == ([], 2)


@pytest.mark.parametrize(
    ("penalty", "reason"),
    [
        ({"name": "lecam", "start": 0}, "LeCam is changed by a turn"),
        ({"name": "lecam", "start": 7}, "goes by the number of the step"),
    ],
)
def test_what_the_host_remembers_is_played_and_told_once(make_recipe, penalty, reason):
    plain, recorded, news, _ = both(make_recipe, 12, penalties=[penalty], training={"steps": 100})
    for one, other in zip(state(plain), state(recorded), strict=True):
        assert torch.equal(one, other)
    (line,) = news
    assert line.startswith("the discriminator's turns are not recorded as CUDA graphs: ")
    assert reason in line


def test_what_a_failed_recording_did_to_the_parts_is_undone(make_recipe):
    run = Run.build(make_recipe(training={"steps": 100}))

    class Refusing(Emulated):
        def record(self, work: Callable[[], None]) -> None:
            run.discriminator.objective.remembered = [1]  # pyright: ignore[reportAttributeAccessIssue]
            raise NotRepeatable("a test says so")

    run.recorded = RecordedTurns(run.augment, Refusing)
    news = [line for _ in range(SIGHTINGS + 3) for line in step(run).splitlines()]
    assert not hasattr(run.discriminator.objective, "remembered")
    assert len(news) == 2
    assert all("a test says so" in line for line in news)


class Tracker:
    """Something that a penalty holds."""

    def __init__(self) -> None:
        self.last = deque[int](maxlen=2)


@register.penalty("counting-on-the-host")
class Counting(Penalty):
    """Grows with every call, by what it keeps on the host.

    Args:
        where: it is kept.
    """

    sees_real = False

    def __init__(self, *, where: str = "list") -> None:
        self.calls: list[int] = []
        self.names: set[int] = set()
        self.tracker = Tracker()
        self.where = where
        self.rng = random.Random(0) if where == "generator" else None

    def __call__(self, turn):
        if self.where == "list":
            self.calls.append(1)
        elif self.where == "set":
            self.names.add(len(self.names))
        elif self.where == "inside":
            self.tracker.last.append(1 + sum(self.tracker.last))
        drawn = 0.0 if self.rng is None else self.rng.random()
        return turn.fake_logits.mean() * (len(self.calls) + len(self.names) + sum(self.tracker.last) + drawn)


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("list", "Counting.calls is changed by a turn"),
        ("set", "Counting.names is changed by a turn"),
        ("inside", "Counting.tracker.last is changed by a turn"),
        ("generator", "Counting.rng is a random generator of its own"),
    ],
)
def test_what_is_kept_on_the_host_is_noticed(make_recipe, where, reason):
    penalty = {"name": "counting-on-the-host", "where": where}
    plain, recorded, news, _ = both(make_recipe, 8, penalties=[penalty], training={"steps": 9})
    for one, other in zip(state(plain), state(recorded), strict=True):
        assert torch.equal(one, other)
    assert any(reason in line for line in news)


def test_a_run_that_goes_back_is_replayed_from_where_it_went_back_to(make_recipe):
    run = Run.build(make_recipe(training={"steps": 100}))
    run.recorded = RecordedTurns(run.augment, Emulated)
    for _ in range(SIGHTINGS + 2):
        step(run)
    parts = (*run.saved_networks().values(), run.discriminator, run.generator)
    saved = [copy.deepcopy(part.state_dict()) for part in parts]
    place = (run.progress.step, run.progress.images, run.loader.position)

    def three_steps() -> list[Tensor]:
        for part, was in zip(parts, saved, strict=True):
            part.load_state_dict(copy.deepcopy(was))
        run.progress.step, run.progress.images = place[:2]
        run.loader.seek(place[2])
        run.meters.clear()
        for _ in range(3):
            step(run)
        return [value.clone() for network in run.saved_networks().values() for value in network.state_dict().values()]

    first = three_steps()
    for one, other in zip(first, three_steps(), strict=True):
        assert torch.equal(one, other)


def test_no_turn_outlives_itself(make_recipe, monkeypatch):
    """The nodes of a graph of autograd that is still there belong to another stream than a capture's."""
    run = Run.build(make_recipe(training={"steps": 100, "discriminator_turns": 3}))
    make, before = run.game.turns, []

    def turns(*given: Any) -> Any:
        assert [turn() for turn in before if turn() is not None] == []
        made = make(*given)
        before.extend(weakref.ref(turn) for turn in made)
        return made

    monkeypatch.setattr(run.game, "turns", turns)
    for _ in range(2):
        step(run)
    assert len(before) == 8
