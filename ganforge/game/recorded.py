"""Turns that repeat: recorded once and from then on replayed, so that the host no longer starts their kernels.

On a GPU a recording is one CUDA graph of a turn's forwards and backwards (`ganforge.building.cuda_graph`). What it
cannot hold stays outside: what the turn is given is copied into the recording's own tensors, the optimizer steps as
ever, and figures are copied out. A recording computes what the turn computed when it was recorded, whatever the host
would decide now; so a turn is recorded only if the host has nothing to decide.
"""

import copy
import random
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, fields
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ganforge.game.player import Player
from ganforge.game.turn import Turn

Figures = dict[str, Tensor]
"""A turn's figures for the log, detached scalars by name."""

SIGHTINGS = 3
"""Turns of one kind that are played before the next is recorded: kernels are then chosen and scales made."""
MOST = 8
"""Recordings at most; each holds the memory of a turn's figures and gradients."""
KINDS = 64
"""Kinds of turns that are counted at most; where there are more, options move and nothing repeats."""
CONTAINERS = (dict, list, set, deque)
GENERATORS = (random.Random, np.random.Generator, np.random.RandomState, torch.Generator)
OPAQUE = (Tensor, type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)
"""What an object may hold that nothing of a turn is kept in."""
INPUTS = ("source", "fake_labels", "real_samples", "real_labels", "beside")
LOGITS = ("real_logits", "fake_logits")


class NotRepeatable(Exception):
    """A turn does more than a recording of it would."""


class Recording(Protocol):
    """What a device did, to be done again on the same tensors."""

    def record(self, work: Callable[[], None]) -> None:
        """Note what the work does; the first `replay` does it.

        Raises:
            NotRepeatable: the host takes part in it; nothing was done.
        """
        ...

    def replay(self) -> None:
        """Do it (again)."""
        ...


def play(moving: Player, turns: Sequence[Turn]) -> list[Figures]:
    """Forward and backward of a turn in its micro-batches; returns each one's terms."""
    return [moving.learn(turn, number) for number, turn in enumerate(turns)]


class RecordedTurns:
    """Plays turns, and records those that repeat.

    Args:
        augment: what samples go through on their way to the discriminator.
        make: a new recording.
    """

    def __init__(self, augment: nn.Module, make: Callable[[], Recording]) -> None:
        self._augment = augment
        self._make = make
        self._seen: Counter[Hashable] = Counter()
        self._recorded: dict[Hashable, _Recorded] = {}
        self._refused: set[Hashable] = set()
        self.reasons: list[str] = []
        """Lines for people: what is not recorded, and why."""
        self._told = 0

    def news(self) -> list[str]:
        """The reasons since the last call."""
        if self._told == len(self.reasons):
            return []
        news, self._told = self.reasons[self._told :], len(self.reasons)
        return news

    def play(self, moving: Player, turns: Sequence[Turn]) -> list[Figures]:
        """As `play`, replayed where the turn is of a kind that has repeated. Logits are in the turns as ever."""
        family = (moving.role, tuple(penalty.is_due(turns[0].step) for penalty in moving.penalties))
        if family in self._refused:
            return play(moving, turns)
        kind = (*family, self._options(moving), tuple(_shapes(turn) for turn in turns))
        recorded = self._recorded.get(kind)
        if recorded is None:
            self._seen[kind] += 1
            if self._seen[kind] <= SIGHTINGS or len(self._recorded) >= MOST:
                if len(self._seen) > KINDS:
                    self._seen.clear()
                return play(moving, turns)
            try:
                recorded = self._recorded[kind] = self._record(moving, turns)
            except NotRepeatable as reason:
                self._refused.add(family)
                self.reasons.append(f"the {moving.role}'s turns are not recorded as CUDA graphs: {reason}")
                return play(moving, turns)
        return recorded.play(moving, turns)

    def _options(self, moving: Player) -> tuple[Hashable, ...]:
        """Numbers and words that the parts of a loss hold at present; ramps move some of them."""
        parts = [moving.objective, *moving.penalties, *(weighted.penalty for weighted in moving.penalties)]
        return tuple(
            value
            for part in (*parts, *self._augment.modules())
            for value in getattr(part, "__dict__", {}).values()
            if value is None or isinstance(value, bool | int | float | str)
        )

    def _record(self, moving: Player, turns: Sequence[Turn]) -> "_Recorded":
        """Record a turn without playing it.

        Raises:
            NotRepeatable: the host takes part in it, by what a component remembers, or by the number of the step.
        """
        before = _Memory(_parts(moving, turns[0], self._augment))
        mine = [_Watched.of(turn) for turn in turns]
        recording, played = self._make(), list[Figures]()
        moving.clear_gradients()
        try:
            recording.record(lambda: played.extend(play(moving, mine)))
            if changed := before.changed():
                raise NotRepeatable(f"{changed} is changed by a turn")
            if any(turn.asked > 1 for turn in mine):  # the player itself asks once, for the penalties that are due
                raise NotRepeatable("a term goes by the number of the step")
        except BaseException:
            before.restore()
            moving.clear_gradients()
            raise
        return _Recorded(recording, mine, played, [parameter.grad for parameter in moving.trainable])


class _Recorded:
    """A recorded turn: the tensors that it reads, and those that it leaves its results in.

    Args:
        recording: of forwards and backwards.
        turns: that were recorded.
        terms: of each.
        gradients: of each of the player's parameters; None where there is none.
    """

    def __init__(
        self, recording: Recording, turns: Sequence[Turn], terms: list[Figures], gradients: list[Tensor | None]
    ) -> None:
        self._recording = recording
        self._inputs = [value for turn in turns for value in _inputs(turn)]
        self._terms = terms
        self._logits = [
            {name: logits.detach() for name in LOGITS if (logits := turn.computed(name)) is not None} for turn in turns
        ]
        self._results = [tensor for results in (*self._terms, *self._logits) for tensor in results.values()]
        self._gradients = gradients

    @torch.no_grad()
    def play(self, moving: Player, turns: Sequence[Turn]) -> list[Figures]:
        _copy(self._inputs, [value for turn in turns for value in _inputs(turn)])
        self._recording.replay()
        for parameter, gradient in zip(moving.trainable, self._gradients, strict=True):
            parameter.grad = gradient
        copies = [torch.empty_like(result) for result in self._results]
        _copy(copies, self._results)
        given = iter(copies)
        terms = [{name: next(given) for name in results} for results in self._terms]
        for turn, logits in zip(turns, self._logits, strict=True):
            vars(turn).update({name: next(given) for name in logits})
        return terms


def _copy(targets: list[Tensor], sources: list[Tensor]) -> None:
    torch._foreach_copy_(targets, sources)  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]


def _inputs(turn: Turn) -> list[Tensor]:
    return [value for name in INPUTS if (value := getattr(turn, name)) is not None]


def _shapes(turn: Turn) -> Hashable:
    return tuple(None if (value := getattr(turn, name)) is None else (value.shape, value.dtype) for name in INPUTS)


@dataclass(kw_only=True)
class _Watched(Turn):
    """A turn of tensors of its own that counts who asks for its step, which a recording cannot know."""

    asked = 0

    @classmethod
    def of(cls, turn: Turn) -> "_Watched":
        values: dict[str, Any] = {field.name: getattr(turn, field.name) for field in fields(turn)}
        for name in INPUTS:
            values[name] = None if values[name] is None else values[name].clone()
        return cls(**values)

    def __getattribute__(self, name: str) -> Any:
        if name == "step":
            self.asked += 1
        return super().__getattribute__(name)


def _parts(moving: Player, turn: Turn, augment: nn.Module) -> Iterable[object]:
    """All that takes part in a turn and may remember something."""
    yield from (moving.objective, *(weighted.penalty for weighted in moving.penalties))
    yield from (augment, turn.discriminator_module, turn.generator_module)


class _Memory:
    """What objects hold, and what that holds in turn, to see whether something was put there, and to put it back.

    Tensors are not looked into: what is written into one is the device's work, and recorded.

    Raises:
        NotRepeatable: there is a random generator among it, whose state is out of sight.
    """

    def __init__(self, parts: Iterable[object]) -> None:
        self._held: dict[int, _Held] = {}
        for part in parts:
            self._keep(part, type(part).__name__)

    def _keep(self, thing: object, name: str) -> None:
        if isinstance(thing, GENERATORS):
            raise NotRepeatable(f"{name} is a random generator of its own")
        if isinstance(thing, tuple):
            for value in thing:  # pyright: ignore[reportUnknownVariableType]
                self._keep(value, name)  # pyright: ignore[reportUnknownArgumentType]
            return
        place, is_container = id(thing), isinstance(thing, CONTAINERS)
        if place in self._held or isinstance(thing, OPAQUE) or not (is_container or hasattr(thing, "__dict__")):
            return
        held = self._held[place] = _Held(thing if is_container else vars(thing), name)
        for key, value in held.before.items():
            self._keep(value, name if is_container else f"{name}.{key}")

    def changed(self) -> str:
        """Where the first of them holds another object, or nothing."""
        return next(filter(None, (held.changed() for held in self._held.values())), "")

    def restore(self) -> None:
        for held in self._held.values():
            held.restore()


class _Held:
    """What one container holds: a dictionary, of an object's attributes or another, or a sequence or set."""

    def __init__(self, container: Any, name: str) -> None:
        self._container = container
        self._name = name
        self._copy = copy.copy(container)
        self.before = _by_key(container)

    def changed(self) -> str:
        now = _by_key(self._container)
        if all(_is_same(self.before.get(key, _Held), now.get(key, _Held)) for key in (*self.before, *now)):
            return ""
        return self._name

    def restore(self) -> None:
        self._container.clear()
        put = self._container.update if hasattr(self._container, "update") else self._container.extend
        put(self._copy)


def _by_key(container: Any) -> dict[Any, Any]:
    """What is in a dictionary by key, in a sequence by place, in a set by itself."""
    if hasattr(container, "items"):
        return {**container}
    values: Iterable[Any] = container
    return dict(enumerate(values)) if hasattr(container, "extend") else dict.fromkeys(values)


def _is_same(was: object, now: object) -> bool:
    """Whether it is the same object, or an equal plain value."""
    return was is now or (isinstance(was, bool | int | float | str) and type(was) is type(now) and was == now)
