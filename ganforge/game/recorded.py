"""Turns that repeat: recorded once and from then on replayed, so that the host no longer starts their kernels.

On a GPU a recording is one CUDA graph of a turn's forwards and backwards (`ganforge.building.cuda_graph`). What it
cannot hold stays outside: what the turn is given is copied into the recording's own tensors, the optimizer steps as
ever, and figures are copied out. A recording computes what the turn computed when it was recorded, whatever the host
would decide now; so a turn is recorded only if the host has nothing to decide.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ganforge.game.player import Player
from ganforge.game.turn import Turn

Terms = dict[str, Tensor]
"""A turn's figures for the log, detached scalars by name."""

SIGHTINGS = 3
"""Turns of one kind that are played before the next is recorded: kernels are then chosen and scales made."""
MOST = 8
"""Recordings at most; each holds the memory of a turn's figures and gradients."""
KINDS = 64
"""Kinds of turns that are counted at most; where there are more, options move and nothing repeats."""
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


def play(moving: Player, turns: Sequence[Turn]) -> list[Terms]:
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

    def play(self, moving: Player, turns: Sequence[Turn]) -> list[Terms]:
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
        recording, played = self._make(), list[Terms]()
        moving.clear_gradients()
        try:
            recording.record(lambda: played.extend(play(moving, mine)))
            if changed := before.changed():
                raise NotRepeatable(f"{changed} is set anew in every turn")
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
        self, recording: Recording, turns: Sequence[Turn], terms: list[Terms], gradients: list[Tensor | None]
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
    def play(self, moving: Player, turns: Sequence[Turn]) -> list[Terms]:
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
    yield moving.objective
    yield from (weighted.penalty for weighted in moving.penalties)
    for module in (augment, turn.discriminator_module, turn.generator_module):
        yield from module.modules()


class _Memory:
    """What objects hold, to see whether something else was put there, and to put it back.

    Args:
        parts: the objects; lists and dictionaries that they hold are looked into.
    """

    def __init__(self, parts: Iterable[object]) -> None:
        self._held = [_Held(part) for part in parts if hasattr(part, "__dict__")]

    def changed(self) -> str:
        """The first attribute that is another one, as `Part.attribute`, or nothing."""
        return next(filter(None, (held.changed() for held in self._held)), "")

    def restore(self) -> None:
        for held in self._held:
            held.restore()


class _Held:
    """What one object holds."""

    def __init__(self, part: object) -> None:
        self._part = part
        self._values = dict(vars(part))
        self._dicts: dict[str, dict[Any, Any]] = {}
        self._lists: dict[str, list[Any]] = {}
        for name, value in self._values.items():
            if isinstance(value, dict):
                self._dicts[name] = {**value}
            elif isinstance(value, list):
                self._lists[name] = [*value]

    def changed(self) -> str:
        """The first attribute that is another one, as `Part.attribute`, or nothing."""
        now = vars(self._part)
        changed = _difference(self._values, now)
        changed = changed or [name for name, values in self._dicts.items() if _difference(values, now[name])]
        changed = changed or [
            name for name, values in self._lists.items() if _difference(_numbered(values), _numbered(now[name]))
        ]
        return f"{type(self._part).__name__}.{changed[0]}" if changed else ""

    def restore(self) -> None:
        vars(self._part).clear()
        vars(self._part).update(self._values)
        for name, values in self._dicts.items():
            self._values[name].clear()
            self._values[name].update(values)
        for name, values in self._lists.items():
            self._values[name][:] = values


def _difference(before: Mapping[Any, Any], now: Mapping[Any, Any]) -> list[Any]:
    """The keys of which there is another object, plain values that are equal aside."""
    return [key for key in (*before, *now) if not _is_same(before.get(key, _Held), now.get(key, _Held))]


def _is_same(was: object, now: object) -> bool:
    return was is now or (isinstance(was, bool | int | float | str) and type(was) is type(now) and was == now)


def _numbered(values: Sequence[Any]) -> dict[int, Any]:
    return dict(enumerate(values))
