"""A player: a network with its own optimizer and its own Accelerator.

Each player has an Accelerator because each has its own gradient scaler and, under DeepSpeed, its
own engine. The moving player is called through its wrapper, which all-reduces its gradients; the
resting one is called bare and frozen, so that it keeps no stray gradients and sends nothing.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from ganforge.objectives import Objective
from ganforge.penalties import Penalty
from ganforge.training.schedule import Schedule, constant
from ganforge.training.turn import Role, Turn


class WeightedPenalty:
    """A penalty with its weight and interval; None in the turns of a step that it sits out."""

    def __init__(self, name: str, penalty: Penalty, weight: float, interval: int) -> None:
        self.name = name
        self.penalty = penalty
        self.weight = weight
        self.interval = interval

    def is_due(self, step: int) -> bool:
        return step % self.interval == 0

    def __call__(self, turn: Turn) -> Tensor:
        return self.weight * self.interval * self.penalty(turn)


class Player:
    """One side of the game.

    Args:
        role: "discriminator" or "generator".
        network: the bare network.
        optimizer: over the network's parameters.
        accelerator: this player's own.
        objective: the game that both play.
        penalties: those that join this player's loss.
        schedule: factor of the learning rate by step.
        turns_per_step: moves in one alternation.
        micro_batches: pieces in which a move is computed; gradients equal those of the whole (batch norm aside).
    """

    def __init__(
        self,
        role: Role,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        accelerator: Accelerator,
        *,
        objective: Objective,
        penalties: Sequence[WeightedPenalty] = (),
        schedule: Schedule = constant,
        turns_per_step: int = 1,
        micro_batches: int = 1,
    ) -> None:
        self.role: Role = role
        self.accelerator = accelerator
        self.objective = objective
        self.penalties = tuple(penalties)
        self.turns_per_step = turns_per_step
        self.micro_batches = micro_batches
        self.network = network
        self._trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.wrapped, self.optimizer = accelerator.prepare(network, optimizer)
        self._schedule = schedule
        self._learning_rates = [group["lr"] for group in self.optimizer.param_groups]
        self._is_frozen = False

    def __call__(self, *inputs: Any) -> Tensor:
        return self.network(*inputs) if self._is_frozen else self.wrapped(*inputs)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """While the other player moves: called bare, without gradients for its own parameters."""
        self._freeze(True)
        try:
            yield
        finally:
            self._freeze(False)

    def _freeze(self, is_frozen: bool) -> None:
        self._is_frozen = is_frozen
        for parameter in self._trainable:
            parameter.requires_grad_(not is_frozen)

    def due_penalties(self, step: int) -> list[WeightedPenalty]:
        return [penalty for penalty in self.penalties if penalty.is_due(step)]

    def sees_real(self, step: int) -> bool:
        """Whether anything in this step's turns looks at real samples."""
        objective = self.role == "discriminator" or self.objective.generator_sees_real
        return objective or any(penalty.penalty.sees_real for penalty in self.due_penalties(step))

    def loss(self, turn: Turn) -> tuple[Tensor, dict[str, Tensor]]:
        """The one summed loss of a turn, and its terms, detached, for the log."""
        goal = self.objective.discriminator_loss if self.role == "discriminator" else self.objective.generator_loss
        total = goal(turn)
        terms = {"objective": total.detach()}
        for penalty in self.due_penalties(turn.step):
            term = penalty(turn)
            terms[penalty.name] = term.detach()
            total = total + term
        return total, {"loss": total.detach(), **terms, **turn.figures()}

    def micro_batch(self, piece: int) -> Any:
        """Context of one piece's forward and backward: ranks exchange gradients only in the last."""
        is_last = piece == self.micro_batches - 1
        return nullcontext() if is_last else self.accelerator.no_sync(self.wrapped)

    def backward(self, loss: Tensor) -> None:
        """One backward a piece; a second one in a turn would exchange gradients twice."""
        self.accelerator.backward(loss / self.micro_batches)

    def update(self, step: int) -> None:
        """Step the optimizer at the learning rate of this step, and clear the gradients."""
        factor = self._schedule(step)
        for group, learning_rate in zip(self.optimizer.param_groups, self._learning_rates, strict=True):
            group["lr"] = factor * learning_rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
