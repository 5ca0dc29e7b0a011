"""LeCam: the anchors' course, the distance from them, and that a checkpoint keeps them."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from turns import FAKE, REAL, turn_of

from ganforge.game.turn import Turn
from ganforge.penalties.lecam import LeCam


def of_step(step: int, real: Tensor = REAL, fake: Tensor = FAKE) -> Turn:
    return replace(turn_of("discriminator", real, fake), step=step)


def test_of_the_first_batch_only_logits_on_their_own_side_of_the_other_kinds_mean_count() -> None:
    """As in the authors' code: the mean of max(0, D(x) - a_fake)^2, and of max(0, a_real - D(G(z)))^2."""
    value = LeCam(strength=0.5, start=0)(turn_of("discriminator", REAL, FAKE))
    assert (REAL.mean().item(), FAKE.mean().item()) == pytest.approx((1.125, -1.15))
    expected = 0.5 * ((3.15**2 + 0.15**2 + 1.65**2 + 4.15**2) / 4 + (2.625**2 + 0.425**2 + 5.125**2 + 0.925**2) / 4)
    assert value.item() == pytest.approx(expected, rel=1e-12)


def test_two_sided_it_is_the_papers_distance() -> None:
    real, fake = torch.tensor([-9.0, 1.0]), torch.tensor([-2.0, 8.0])
    penalty = LeCam(strength=0.5, one_sided=False, start=0)
    expected = 0.5 * ((real - fake.mean()).square().mean() + (fake - real.mean()).square().mean())
    torch.testing.assert_close(penalty(turn_of("discriminator", real, fake)), expected)


def test_logits_on_the_wrong_side_cost_nothing() -> None:
    """D takes these fakes for real and these reals for fake: nothing there has to be held back."""
    value = LeCam(start=0)(turn_of("discriminator", torch.tensor([-3.0, -2.0]), torch.tensor([2.0, 5.0])))
    assert value.item() == 0.0


def test_before_its_start_it_costs_nothing_and_anchors_begin_there() -> None:
    penalty = LeCam(strength=1.0, start=7)
    for step in (0, 6):
        assert penalty(of_step(step, REAL + 50.0, FAKE - 50.0)).item() == 0.0
    torch.testing.assert_close(penalty(of_step(7)), LeCam(strength=1.0, start=0)(of_step(0)), rtol=1e-12, atol=0)
    assert LeCam().start == 1000


def test_anchors_follow_with_the_decay() -> None:
    penalty = LeCam(strength=1.0, decay=0.9, start=0)
    penalty(turn_of("discriminator", REAL, FAKE))
    value = penalty(turn_of("discriminator", REAL + 10.0, FAKE - 10.0))
    anchor_real, anchor_fake = REAL.mean() + 0.1 * 10.0, FAKE.mean() - 0.1 * 10.0
    expected = (REAL + 10.0 - anchor_fake).square().mean() + (FAKE - 10.0 - anchor_real).square().mean()
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)


def test_anchors_are_constants_to_the_gradient() -> None:
    real = REAL.clone().requires_grad_()
    LeCam(strength=1.0, start=0)(turn_of("discriminator", real, FAKE)).backward()
    assert real.grad is not None
    torch.testing.assert_close(real.grad, 2 * (REAL - FAKE.mean()).relu() / 4, rtol=1e-12, atol=0)


def test_a_checkpoint_keeps_the_anchors_and_a_fresh_run_has_none() -> None:
    first, fresh = LeCam(start=0), LeCam(start=0)
    fresh.load_state_dict(LeCam(start=0).state_dict())
    first(turn_of("discriminator", REAL, FAKE))
    second = LeCam(start=0)
    second.load_state_dict(first.state_dict())
    turn = turn_of("discriminator", REAL + 1.0, FAKE)
    same = second(turn)
    assert first(turn) == same
    assert fresh(turn) != same


def test_bf16_logits_have_float32_anchors() -> None:
    """An average of 0.99 would stand still in bf16."""
    penalty = LeCam(start=0)
    value = penalty(turn_of("discriminator", REAL.bfloat16(), FAKE.bfloat16()))
    assert value.dtype == penalty.state_dict()["anchors"].dtype == torch.float32


def test_without_memory_the_anchors_are_this_batchs_means() -> None:
    penalty = LeCam(strength=1.0, decay=0.0, start=0)
    for _ in range(2):
        penalty(turn_of("discriminator", REAL, FAKE))
    moved = penalty(turn_of("discriminator", REAL + 3.0, FAKE))
    torch.testing.assert_close(moved, LeCam(strength=1.0, start=0)(turn_of("discriminator", REAL + 3.0, FAKE)))
