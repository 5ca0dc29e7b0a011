"""The hinge loss against its paper's equations."""

from typing import Any

import pytest
import torch
from turns import FAKE, REAL, losses, turn_of

from ganforge.objectives.hinge import Hinge


def test_both_losses_are_the_formula() -> None:
    of_d, of_g = losses(Hinge())
    expected = sum(max(0.0, 1 - x) for x in REAL.tolist()) / 4 + sum(max(0.0, 1 + x) for x in FAKE.tolist()) / 4
    assert of_d.item() == pytest.approx(expected, rel=1e-12)
    assert of_g.item() == pytest.approx(-sum(FAKE.tolist()) / 4, rel=1e-12)
    assert (of_d.dtype, of_g.dtype) == (torch.float64, torch.float64)


def test_samples_right_by_the_margin_teach_d_nothing_and_g_still_learns() -> None:
    real = torch.tensor([0.9, 1.1], requires_grad=True)
    fake = torch.tensor([-0.9, -1.1], requires_grad=True)
    Hinge().discriminator_loss(turn_of("discriminator", real, fake)).backward()
    assert real.grad is not None
    assert fake.grad is not None
    assert (real.grad != 0).tolist() == (fake.grad != 0).tolist() == [True, False]
    fake.grad = None
    Hinge().generator_loss(turn_of("generator", None, fake)).backward()
    gradient: Any = fake.grad
    assert gradient.tolist() == [-0.5, -0.5]
