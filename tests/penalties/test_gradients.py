"""Penalties on gradients against closed forms, in float64, and in bf16 against float32."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from turns import turn_of

from ganforge.game.packed import PackedDiscriminator
from ganforge.penalties import Penalty
from ganforge.penalties.gradients import DRAGAN, R1, R2, GradientPenalty

WEIGHTS = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
ALL = [R1(gamma=2.0), R2(gamma=2.0), GradientPenalty(), DRAGAN()]
every = pytest.mark.parametrize("penalty", ALL, ids=lambda penalty: type(penalty).__name__)


def linear(samples: Tensor, labels: Tensor | None = None) -> Tensor:
    return samples @ WEIGHTS.to(samples) + 3.0


def value_of(penalty: Penalty, real: Tensor | None, fake: Tensor, discriminator: Any = linear) -> Tensor:
    return penalty(turn_of("discriminator", real, fake, discriminator=discriminator))


def points(count: int = 7, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


# --- zero-centred ------------------------------------------------------------------------------


@pytest.mark.parametrize("penalty", [R1(gamma=10.0), R2(gamma=10.0)])
def test_of_a_linear_discriminator_it_is_half_gamma_times_its_squared_weights(penalty: Penalty) -> None:
    assert value_of(penalty, points(), points(seed=1)).item() == pytest.approx(5.0 * (1 + 4 + 0.25), rel=1e-12)


@pytest.mark.parametrize("penalty", [R1(gamma=2.0), R2(gamma=2.0)])
def test_of_a_quadratic_discriminator_on_pictures_it_is_the_mean_over_its_own_samples(penalty: Penalty) -> None:
    """`D(x) = a |x|^2` has the gradient `2 a x`: `gamma / 2 * E[4 a^2 |x|^2]`, over reals for R1 and fakes for R2."""
    torch.manual_seed(0)
    real, fake = torch.randn(5, 3, 4, 4, dtype=torch.float64), 3 * torch.randn(5, 3, 4, 4, dtype=torch.float64)
    scale = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    value = value_of(penalty, real, fake, lambda x, labels: scale * x.square().flatten(1).sum(1))
    mean_square = (real if isinstance(penalty, R1) else fake).square().flatten(1).sum(1).mean()
    torch.testing.assert_close(value, 4 * scale**2 * mean_square, rtol=1e-12, atol=0)
    value.backward()
    assert scale.grad is not None, "the penalty must reach the weights through its own gradient"
    torch.testing.assert_close(scale.grad, 8 * scale.detach() * mean_square, rtol=1e-12, atol=0)


def test_r2_takes_no_reals_and_sends_nothing_to_the_generator() -> None:
    generator = nn.Linear(3, 3, dtype=torch.float64)
    turn = turn_of("discriminator", None, points(), discriminator=linear, generator=lambda z, labels: generator(z))
    R2()(turn)
    assert not R2.sees_real
    assert not turn.fake.requires_grad


# --- one-centred -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [GradientPenalty, DRAGAN])
@pytest.mark.parametrize("target", [1.0, 0.0, 3.0])
def test_of_a_linear_discriminator_it_is_the_squared_distance_of_its_length_from_the_target(
    kind: Any, target: float
) -> None:
    value = value_of(kind(strength=10.0, target=target), points(), points(seed=1))
    assert value.item() == pytest.approx(10.0 * (math.sqrt(5.25) - target) ** 2, rel=1e-12)


def test_gradient_penalty_looks_between_each_real_sample_and_its_fake() -> None:
    """With `D(x) = |x|^2 / 2` the gradient is the point itself, whose length therefore tells where it was."""
    places = []

    def spy(samples: Tensor, labels: Tensor | None) -> Tensor:
        places.append(samples.detach())
        return 0.5 * samples.square().sum(1)

    torch.manual_seed(0)
    real, fake = points(1000), points(1000, seed=1) + 5.0
    value = value_of(GradientPenalty(strength=1.0), real, fake, spy)
    (between,) = places
    shares = (between - fake) / (real - fake)
    torch.testing.assert_close(shares, shares[:, :1].expand(-1, 3))  # one epsilon a sample, for all its numbers
    assert shares.min() >= 0
    assert shares.max() <= 1
    assert shares[:, 0].mean().item() == pytest.approx(0.5, abs=0.03)
    assert shares[:, 0].var().item() == pytest.approx(1 / 12, abs=0.01)
    torch.testing.assert_close(value.detach(), (between.norm(dim=1) - 1).square().mean(), rtol=1e-12, atol=0)


def test_dragan_looks_around_reals_as_far_as_they_are_spread() -> None:
    places = []

    def spy(samples: Tensor, labels: Tensor | None) -> Tensor:
        places.append(samples.detach())
        return samples.sum(1)

    torch.manual_seed(0)
    real = 4.0 * points(5000) + 100.0
    value_of(DRAGAN(noise=0.5), real, torch.empty(0), spy)
    moved = places[0] - real
    assert moved.mean().item() == pytest.approx(0.0, abs=0.1)
    assert moved.std().item() == pytest.approx(2.0, rel=0.05)


def test_dragans_noise_is_as_long_as_that_of_the_authors_code() -> None:
    """Which goes up by half a deviation, times U[0, 1] for each number, times U[0, 1] for each sample."""
    places = []

    def spy(samples: Tensor, labels: Tensor | None) -> Tensor:
        places.append(samples.detach())
        return samples.sum(1)

    torch.manual_seed(0)
    real = 4.0 * points(5000)
    value_of(DRAGAN(), real, torch.empty(0), spy)
    theirs = 0.5 * real.std() * torch.rand(5000, 1) * torch.rand_like(real)
    assert (places[0] - real).square().mean().sqrt().item() == pytest.approx(
        theirs.square().mean().sqrt().item(), rel=0.03
    )


@pytest.mark.parametrize("kind", [GradientPenalty, DRAGAN])
def test_a_flat_discriminator_gives_finite_gradients(kind: Any) -> None:
    """The derivative of a length is infinite at zero; dead units of a D give that length."""
    weights = torch.zeros(3, requires_grad=True)
    value = value_of(kind(), points().float(), points(seed=1).float(), lambda x, labels: torch.relu(x @ weights - 1.0))
    value.backward()
    assert value.item() == pytest.approx(10.0)
    assert weights.grad is not None
    assert weights.grad.isfinite().all()


# --- all ---------------------------------------------------------------------------------------


@every
def test_samples_stay_as_they_were_and_compilation_steps_aside(penalty: Penalty) -> None:
    real, fake = points(), points(seed=1)
    value_of(penalty, real, fake)
    assert not real.requires_grad
    assert not fake.requires_grad
    assert (penalty.player, penalty.needs_double_backward) == ("discriminator", True)


@every
def test_in_bf16_its_gradient_is_that_of_float32_to_bf16s_digits_and_norms_are_float32(penalty: Penalty) -> None:
    """Weights stay float32 under autocast, and so does the sum of squares over a picture's many numbers."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 16, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(16, 32, 4, 2, 1), nn.LeakyReLU(0.2),
        nn.Flatten(1), nn.Linear(32 * 16, 1), nn.Flatten(0),
    )  # fmt: skip
    real, fake = torch.rand(32, 3, 16, 16) * 2 - 1, torch.rand(32, 3, 16, 16) * 2 - 1
    values, gradients = [], []
    for is_half in (False, True):

        def discriminate(samples: Tensor, labels: Tensor | None, is_half: bool = is_half) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
                return network(samples)

        torch.manual_seed(1)  # the same interpolates and noise
        value = value_of(penalty, real, fake, discriminate)
        assert value.dtype == torch.float32
        network.zero_grad()
        value.backward()
        values.append(value.detach())
        # The last bias has no part in a gradient by the samples.
        gradients.append(torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None]))
    assert values[0] != values[1], "it was bf16 indeed"
    torch.testing.assert_close(values[1], values[0], rtol=0.01, atol=0)
    assert (gradients[1] - gradients[0]).norm() < 0.02 * gradients[0].norm()


@every
def test_norms_of_bf16_samples_are_summed_in_float32(penalty: Penalty) -> None:
    """A network that is in bf16 altogether, and not by autocast, has bf16 gradients."""
    value = value_of(penalty, points().bfloat16(), points(seed=1).bfloat16())
    assert value.dtype == torch.float32
    exact = value_of(penalty, points(), points(seed=1))
    assert value.item() == pytest.approx(exact.item(), rel=1e-5)


@pytest.mark.parametrize("packing", [1, 2])
def test_a_pack_is_one_sample_of_the_penalties(packing: int) -> None:
    """A linear D of slope 1 on packs is what WGAN-GP wants, and R1 is half its gamma."""
    weight = torch.randn(2 * packing, dtype=torch.float64)
    weight /= weight.norm()
    linear = nn.Linear(2 * packing, 1, bias=False).double()
    linear.weight.data = weight[None]
    network = nn.Sequential(linear, nn.Flatten(0))

    class Plain(nn.Module):
        def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
            return network(samples)

    discriminator = PackedDiscriminator(Plain(), packing) if packing > 1 else Plain()
    real, fake = torch.randn(2, 8, 2, dtype=torch.float64)
    turn = turn_of("discriminator", real, fake, discriminator=discriminator)
    turn.packing = packing
    assert R1(gamma=2.0)(turn).item() == pytest.approx(1.0)
    assert GradientPenalty(strength=1.0)(turn).item() == pytest.approx(0.0, abs=1e-12)
