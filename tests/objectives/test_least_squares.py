"""LSGAN against its paper's equations."""

import pytest
import torch
from turns import FAKE, REAL, losses

from ganforge.objectives.least_squares import LeastSquares


@pytest.mark.parametrize(("b", "a", "c"), [(1.0, 0.0, 1.0), (1.0, -1.0, 0.0), (0.9, 0.1, 0.7)])
def test_both_losses_are_half_the_mean_squared_distance_from_their_targets(b: float, a: float, c: float) -> None:
    of_d, of_g = losses(LeastSquares(real_target=b, fake_target=a, generator_target=c))
    expected_d = sum((x - b) ** 2 for x in REAL.tolist()) / 8 + sum((x - a) ** 2 for x in FAKE.tolist()) / 8
    expected_g = sum((x - c) ** 2 for x in FAKE.tolist()) / 8
    assert (of_d.dtype, of_g.dtype) == (torch.float64, torch.float64)
    assert of_d.item() == pytest.approx(expected_d, rel=1e-12)
    assert of_g.item() == pytest.approx(expected_g, rel=1e-12)


def test_defaults_are_the_papers_coding_by_zero_and_one() -> None:
    ones, zeros = torch.ones(3), torch.zeros(3)
    assert losses(LeastSquares(), real=ones, fake=zeros)[0] == 0
    assert losses(LeastSquares(), real=ones, fake=ones)[1] == 0


def test_best_d_is_the_mixture_of_targets_that_the_paper_derives() -> None:
    """Equation 5: `D = (b p_data + a p_g) / (p_data + p_g)`; here three reals and one fake stand at one point."""
    logit = torch.zeros((), dtype=torch.float64, requires_grad=True)
    objective = LeastSquares(real_target=1.0, fake_target=-1.0, generator_target=0.0)
    # Means over the batch weigh both kinds alike; weights 3 and 1 stand for the densities.
    loss = 3 * objective.discriminator_loss(_only(real=logit)) + objective.discriminator_loss(_only(fake=logit))
    (slope,) = torch.autograd.grad(loss, logit)
    best = (3 * 1.0 + 1 * -1.0) / 4
    assert slope.item() == pytest.approx(4 * (0 - best), rel=1e-12)


def _only(real: torch.Tensor | None = None, fake: torch.Tensor | None = None):
    """A turn in which the other kind already is at its target."""
    from turns import turn_of

    real_at, fake_at = torch.ones((), dtype=torch.float64), -torch.ones((), dtype=torch.float64)
    return turn_of("discriminator", real if real is not None else real_at, fake if fake is not None else fake_at)


def test_flipped_targets_are_those_of_the_other_kind() -> None:
    torch.manual_seed(0)
    loss, _ = losses(LeastSquares(flip=0.25), REAL.repeat(20_000), FAKE.repeat(20_000))
    right = losses(LeastSquares())[0]
    wrong = 0.5 * REAL.square().mean() + 0.5 * (FAKE - 1).square().mean()
    torch.testing.assert_close(loss, 0.75 * right + 0.25 * wrong, rtol=5e-3, atol=0)


@pytest.mark.parametrize("name", ["real_target", "generator_target"])
def test_targets_that_are_no_game_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} \(0.0\) must be larger than fake_target \(0.5\)"):
        LeastSquares(**{"fake_target": 0.5, name: 0.0})  # type: ignore[arg-type]
