"""Who moves when: the order of the game between discriminator and generator.

The ratio of their turns is the recipe's (`training.discriminator_turns`, `generator_turns`); a schedule decides
in which steps a player moves at all.
"""

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from ganforge.game.schedule import Average, Schedule
from ganforge.game.turn import Role, Turn
from ganforge.registry import register


@register.schedule("fixed")
class Fixed(Schedule):
    """Both players move in every step (Goodfellow et al. 2014, algorithm 1).

    How often in a step, `training.discriminator_turns` and `generator_turns` say; WGAN has five to one.
    """

    def moves(self, role: Role) -> bool:
        return True


@register.schedule("two_phase")
class TwoPhase(Schedule):
    """Pause the discriminator when it wins, until the generator has caught up (a remedy of the textbooks).

    Both train until the discriminator's accuracy over a window of steps reaches `high`; then it pauses and only the
    generator trains, until the accuracy has fallen below `low`. The accuracy is the mean of those on real and on
    generated samples, with logits above 0 meaning real. While the discriminator pauses, its accuracy on reals is that
    of its last window, since it does not change, and that on fakes is seen in the generator's turns. A decision waits
    for the device once a window.

    Args:
        high: accuracy from which on the discriminator pauses.
        low: accuracy below which it goes on.
        window: steps over which an accuracy is taken, and between decisions.
    """

    needs_boundary_at_zero = True

    def __init__(
        self,
        *,
        high: Annotated[float, Field(gt=0, le=1)] = 0.9,
        low: Annotated[float, Field(gt=0, le=1)] = 0.75,
        window: Annotated[int, Field(ge=1, le=1_000_000)] = 10,
    ) -> None:
        if low > high:
            raise ValueError(f"low ({low}) must not be above high ({high})")
        self.high = high
        self.low = low
        self.window = window
        self._is_paused = False
        self._real = 0.0
        self._accuracy = 0.5
        self._sums: dict[str, Tensor] = {}
        self._counts = {"real": 0, "fake": 0}

    def moves(self, role: Role) -> bool:
        return role == "generator" or not self._is_paused

    def observe(self, turn: Turn) -> None:
        if turn.player == "generator" and not self._is_paused:
            return  # its own turns have shown the discriminator's accuracy already
        for name, sign in (("real", 1), ("fake", -1)):
            logits = turn.computed(f"{name}_logits")
            if logits is not None and (name == "fake" or not self._is_paused):
                right = (sign * logits.detach() > 0).float().mean()
                self._sums[name] = self._sums[name] + right if name in self._sums else right
                self._counts[name] += 1

    def adapt(self, step: int, average: Average) -> str:
        if step % self.window or not self._counts["fake"]:
            return ""
        means = [self._sums[name] / self._counts[name] for name in ("real", "fake") if self._counts[name]]
        accuracies = average(torch.stack(means)).tolist()
        if self._counts["real"]:
            self._real = accuracies[0]
        accuracy = self._accuracy = 0.5 * (self._real + accuracies[-1])
        self._sums, self._counts = {}, {"real": 0, "fake": 0}
        if not self._is_paused and accuracy >= self.high:
            self._is_paused = True
            return f"step {step:,}: the discriminator is right in {accuracy:.0%} and pauses"
        if self._is_paused and accuracy < self.low:
            self._is_paused = False
            return f"step {step:,}: the discriminator is right in {accuracy:.0%} and moves again"
        return ""

    def figures(self) -> dict[str, float]:
        return {"discriminator_pauses": float(self._is_paused), "accuracy": self._accuracy}

    def state_dict(self) -> dict[str, Any]:
        return {
            "is_paused": self._is_paused,
            "real": self._real,
            "accuracy": self._accuracy,
            "sums": dict(self._sums),
            "counts": dict(self._counts),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._is_paused = state["is_paused"]
        self._real = state["real"]
        self._accuracy = state["accuracy"]
        self._sums = dict(state["sums"])
        self._counts = dict(state["counts"])
