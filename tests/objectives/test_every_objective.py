"""What holds for every registered objective."""

from typing import Any

import pytest
import torch
from turns import FAKE, REAL, losses, turn_of

from ganforge.game.turn import Role
from ganforge.objectives import Objective
from ganforge.registry import register

every = pytest.mark.parametrize("component", register.objective.loaded(), ids=lambda component: component.name)


@every
def test_two_finite_scalars_with_gradients(component: Any) -> None:
    objective = component.build(component.options())
    assert isinstance(objective, Objective)
    for player in ("discriminator", "generator"):
        weight = torch.ones((), requires_grad=True)
        turn = turn_of(player, REAL.float(), FAKE.float(), discriminator=lambda x, labels, w=weight: w * x)
        if player == "generator" and not objective.generator_sees_real:
            turn.real_samples = None
        loss = objective.discriminator_loss(turn) if player == "discriminator" else objective.generator_loss(turn)
        assert loss.shape == ()
        loss.backward()
        assert weight.grad is not None
        assert weight.grad.isfinite()
        assert weight.grad != 0


@every
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_losses_of_half_precision_logits_are_those_of_the_same_logits_in_float32(
    component: Any, dtype: torch.dtype
) -> None:
    """A mean over thousands in bf16 has two digits."""
    objective = component.build(component.options())
    real, fake = torch.linspace(-3, 3, 1000).to(dtype), torch.linspace(-5, 1, 1000).to(dtype)
    torch.testing.assert_close(
        losses(objective, real, fake), losses(objective, real.float(), fake.float()), rtol=0, atol=0
    )
    with torch.autocast("cpu", torch.bfloat16):
        assert [loss.dtype for loss in losses(objective, real, fake)] == [torch.float32] * 2


@every
def test_float64_stays(component: Any) -> None:
    assert [loss.dtype for loss in losses(component.build(component.options()))] == [torch.float64] * 2


@every
def test_d_learns_to_raise_reals_over_fakes_and_g_the_opposite(component: Any) -> None:
    """The derivative of both losses by the distance between the two kinds, from none."""
    objective = component.build(component.options())
    signs: tuple[tuple[int, Role], ...] = ((-1, "discriminator"), (1, "generator"))
    for sign, player in signs:
        distance = torch.zeros((), dtype=torch.float64, requires_grad=True)
        real, fake = distance * torch.ones(4), -distance * torch.ones(4)
        turn = turn_of(player, real if objective.generator_sees_real or sign < 0 else None, fake)
        loss = objective.discriminator_loss(turn) if sign < 0 else objective.generator_loss(turn)
        (slope,) = torch.autograd.grad(loss, distance)
        assert sign * slope > 0
