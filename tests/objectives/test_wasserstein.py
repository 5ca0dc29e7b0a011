"""The critic's loss against a distance that is known."""

import pytest
import torch
from turns import FAKE, REAL, losses, turn_of

from ganforge.objectives.wasserstein import Wasserstein


def test_both_losses_are_differences_of_means() -> None:
    of_d, of_g = losses(Wasserstein())
    assert of_d.item() == pytest.approx(sum(FAKE.tolist()) / 4 - sum(REAL.tolist()) / 4, rel=1e-12)
    assert of_g.item() == pytest.approx(-sum(FAKE.tolist()) / 4, rel=1e-12)


def test_with_the_best_critic_minus_ds_loss_is_the_distance() -> None:
    """Of two point clouds on a line, one moved to the right by 3, the best 1-Lipschitz critic is x itself."""
    cloud = torch.randn(100, dtype=torch.float64)
    turn = turn_of("discriminator", cloud + 3.0, cloud, discriminator=lambda samples, labels: samples)
    assert -Wasserstein().discriminator_loss(turn).item() == pytest.approx(3.0, rel=1e-12)
