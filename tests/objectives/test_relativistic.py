"""Relativistic losses: formulas, optima, and that only differences count."""

import math

import pytest
import torch
from turns import FAKE, REAL, losses, turn_of

from ganforge.objectives.relativistic import RelativisticAverage, RelativisticPairing
from ganforge.objectives.wasserstein import Wasserstein


def log_loss(margin: float) -> float:
    """`-log(sigmoid(margin))`."""
    return -math.log(1 / (1 + math.exp(-margin)))


def test_pairing_is_the_log_loss_of_each_pairs_margin_and_its_mirror_image_for_g() -> None:
    of_d, of_g = losses(RelativisticPairing())
    margins = [real - fake for real, fake in zip(REAL.tolist(), FAKE.tolist(), strict=True)]
    assert of_d.item() == pytest.approx(sum(map(log_loss, margins)) / 4, rel=1e-12)
    assert of_g.item() == pytest.approx(sum(log_loss(-margin) for margin in margins) / 4, rel=1e-12)
    assert (of_d.dtype, of_g.dtype) == (torch.float64, torch.float64)


def test_average_is_the_log_loss_against_the_mean_of_the_other_kind() -> None:
    of_d, of_g = losses(RelativisticAverage())
    mean_real, mean_fake = sum(REAL.tolist()) / 4, sum(FAKE.tolist()) / 4
    real = [logit - mean_fake for logit in REAL.tolist()]
    fake = [logit - mean_real for logit in FAKE.tolist()]
    expected_d = sum(map(log_loss, real)) / 4 + sum(log_loss(-margin) for margin in fake) / 4
    expected_g = sum(log_loss(-margin) for margin in real) / 4 + sum(map(log_loss, fake)) / 4
    assert of_d.item() == pytest.approx(expected_d, rel=1e-12)
    assert of_g.item() == pytest.approx(expected_g, rel=1e-12)


@pytest.mark.parametrize("objective", [RelativisticPairing(), RelativisticAverage()])
def test_a_constant_on_all_logits_changes_nothing(objective: RelativisticPairing | RelativisticAverage) -> None:
    torch.testing.assert_close(losses(objective, REAL + 7.5, FAKE + 7.5), losses(objective), rtol=1e-12, atol=1e-14)


def test_a_constant_on_all_logits_changes_nothing_for_the_critic_either() -> None:
    torch.testing.assert_close(losses(Wasserstein(), REAL + 7.5, FAKE + 7.5)[0], losses(Wasserstein())[0])


def test_where_real_and_fake_look_alike_pairs_lose_log_2_and_averages_log_4() -> None:
    alike = torch.full((5,), -3.0, dtype=torch.float64)
    assert [loss.item() for loss in losses(RelativisticPairing(), alike, alike)] == pytest.approx([math.log(2)] * 2)
    assert [loss.item() for loss in losses(RelativisticAverage(), alike, alike)] == pytest.approx([math.log(4)] * 2)


@pytest.mark.parametrize("objective", [RelativisticPairing(), RelativisticAverage()])
def test_g_pulls_fakes_up_and_reals_down(objective: RelativisticPairing | RelativisticAverage) -> None:
    real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    objective.generator_loss(turn_of("generator", real, fake)).backward()
    assert real.grad is not None
    assert fake.grad is not None
    assert (fake.grad < 0).all()
    assert (real.grad > 0).all()


def test_unequal_batches_have_no_pairs() -> None:
    """Broadcasting one against all would be another loss, silently."""
    with pytest.raises(AssertionError, match="no pairs"):
        RelativisticPairing().discriminator_loss(turn_of("discriminator", REAL[:1], FAKE))
