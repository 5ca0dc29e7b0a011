"""A player: a network with its own optimizer, losses and learning rate.

The moving player is called through its wrapper, which all-reduces its gradients; the
resting one is called bare and frozen, so that it keeps no stray gradients and sends nothing.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from accelerate import Accelerator  # pyright: ignore[reportMissingTypeStubs]
from torch import Tensor, nn

from ganforge.game.engine import Engine, Limits
from ganforge.game.learning_rate import LearningRateFactor, constant
from ganforge.game.objective import Objective
from ganforge.game.state import load_named_state, named_state
from ganforge.game.turn import Role, Turn
from ganforge.game.weighted_penalty import WeightedPenalty


class Player:
    """One side of the game.

    Args:
        role: "discriminator" or "generator".
        engine: its network and optimizer, and how they run in parallel.
        objective: the game that both play.
        penalties: those that join this player's loss.
        learning_rate_factor: of the learning rate by step.
        limits: of gradients and weights.
        turns_per_step: moves in one alternation.
        micro_batches: pieces in which a move is computed; gradients equal those of the whole (batch norm aside).
    """

    def __init__(
        self,
        role: Role,
        engine: Engine,
        *,
        objective: Objective,
        penalties: Sequence[WeightedPenalty] = (),
        learning_rate_factor: LearningRateFactor = constant,
        limits: Limits | None = None,
        turns_per_step: int = 1,
        micro_batches: int = 1,
    ) -> None:
        self.role: Role = role
        self.engine = engine
        self.objective = objective
        self.penalties = tuple(penalties)
        self.turns_per_step = turns_per_step
        self.micro_batches = micro_batches
        self.trainable = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        """The parameters that its optimizer updates, in their order."""
        self.limits = limits or Limits()
        self._learning_rate_factor = learning_rate_factor
        self._learning_rates = [group["lr"] for group in engine.param_groups]
        self._is_frozen = False

    @property
    def network(self) -> nn.Module:
        """The bare network."""
        return self.engine.network

    @property
    def accelerator(self) -> Accelerator:
        """For ranks, device and reductions; those that a recipe builds have one."""
        accelerator = self.engine.accelerator
        assert accelerator is not None, "this player's engine has no Accelerator; use ganforge.parallel.replicated"
        return accelerator

    def __call__(self, *inputs: Any) -> Tensor:
        return self.network(*inputs) if self._is_frozen else self.engine.train_forward(*inputs)

    def forward_with_graph(self, *inputs: Any) -> Tensor:
        """A forward as in this player's own turn, taken in the other's: its graph is for a later backward."""
        was_frozen = self._is_frozen
        self._freeze(False)
        try:
            return self.engine.train_forward(*inputs)
        finally:
            self._freeze(was_frozen)

    def frozen(self) -> AbstractContextManager[None]:
        """While the other player moves: called bare, without gradients for its own parameters."""
        return _Frozen(self._freeze)

    def _freeze(self, is_frozen: bool) -> None:
        if is_frozen != self._is_frozen:
            self._is_frozen = is_frozen
            for parameter in self.trainable:
                parameter.requires_grad = not is_frozen

    def due_penalties(self, step: int) -> list[WeightedPenalty]:
        return [penalty for penalty in self.penalties if penalty.is_due(step)] if self.penalties else []

    def sees_real(self, step: int) -> bool:
        """Whether anything in this step's turns looks at real samples."""
        if self.role == "discriminator" or self.objective.generator_sees_real:
            return True
        return any(penalty.penalty.sees_real for penalty in self.due_penalties(step))

    def loss(self, turn: Turn) -> tuple[Tensor, dict[str, Tensor]]:
        """The one summed loss of a turn, over its ways, and its terms, detached, for the log."""
        total, figures = self._loss_of(turn)
        if turn.back is None:
            return total, figures
        other, more = self._loss_of(turn.back)
        return total + other, {name: value + more[name] for name, value in figures.items()}

    def _loss_of(self, turn: Turn) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one way."""
        goal = self.objective.discriminator_loss if self.role == "discriminator" else self.objective.generator_loss
        total = goal(turn)
        terms = {"objective": total.detach()}
        for penalty in self.due_penalties(turn.step):
            term = penalty(turn)
            terms[penalty.name] = terms.get(penalty.name, 0.0) + term.detach()  # a recipe may have two of a name
            total = total + term
        return total, {"loss": total.detach(), **terms}

    def learn(self, turn: Turn, micro_batch: int = 0) -> dict[str, Tensor]:
        """Forward and backward of one micro-batch (from 0) of a turn; returns the terms of its loss for the log."""
        with self.engine.micro_batch(is_last=micro_batch == self.micro_batches - 1):
            loss, terms = self.loss(turn)
            self.engine.backward(loss / self.micro_batches if self.micro_batches > 1 else loss)
        return terms

    def clear_gradients(self) -> None:
        """Drop the gradients of what its optimizer updates."""
        self.engine.clear_gradients(self.trainable)

    def set_learning_rate(self, value: float) -> None:
        """The learning rate before warm-up, decay and rollbacks; the recipe's until a ramp moves it."""
        self._learning_rates = [value] * len(self._learning_rates)

    def update(self, step: int, scale: float = 1.0) -> dict[str, Tensor]:
        """Step the optimizer at this step's learning rate, times `scale`, and clear the gradients.

        Returns:
            figures for the log: the gradients' norm, where it was limited.
        """
        factor = scale * self._learning_rate_factor(step)
        for group, learning_rate in zip(self.engine.param_groups, self._learning_rates, strict=True):
            group["lr"] = factor * learning_rate
        norm = self.engine.step(self.limits, self.trainable)
        return {} if norm is None else {"gradient_norm": norm.detach()}

    def state_dict(self) -> dict[str, Any]:
        """Optimizer, scaler and what penalties remember; the network is saved separately."""
        penalties = [named_state(penalty.name, penalty.penalty) for penalty in self.penalties]
        return {"engine": self.engine.state_dict(), "penalties": penalties}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.engine.load_state_dict(state["engine"])
        for penalty, saved in zip(self.penalties, state["penalties"], strict=False):
            load_named_state(penalty.name, penalty.penalty, saved)


class _Frozen(AbstractContextManager[None]):
    """Frozen while inside; a generator with `contextmanager` would take several times as long."""

    def __init__(self, freeze: Callable[[bool], None]) -> None:
        self._freeze = freeze

    def __enter__(self) -> None:
        self._freeze(True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._freeze(False)
