"""Binary cross-entropy against its paper's formulas, written out in float64, in turns as the loop makes them."""

import math

import pytest
import torch
from torch import Tensor, nn
from turns import turn_of

from ganforge.objectives import Objective
from ganforge.objectives.cross_entropy import Minimax, NonSaturating, cross_entropy

REAL = torch.tensor([2.0, -1.0, 0.5, 3.0], dtype=torch.float64)
FAKE = torch.tensor([-1.5, 0.7, -4.0], dtype=torch.float64)


def discriminator_loss(objective: Objective, real: Tensor, fake: Tensor) -> Tensor:
    return objective.discriminator_loss(turn_of("discriminator", real, fake))


def generator_loss(objective: Objective, fake: Tensor) -> Tensor:
    return objective.generator_loss(turn_of("generator", torch.empty(0), fake))


def written_out(logits: Tensor, label: float) -> Tensor:
    """`-E[label log D + (1 - label) log(1 - D)]` with `D = 1 / (1 + exp(-logit))`."""
    probability = 1 / (1 + torch.exp(-logits))
    return -(label * torch.log(probability) + (1 - label) * torch.log(1 - probability)).mean()


@pytest.mark.parametrize("objective", [NonSaturating, Minimax])
@pytest.mark.parametrize(("real_label", "fake_label"), [(1.0, 0.0), (0.9, 0.0), (0.9, 0.1), (1.0, 0.3)])
def test_discriminator_loss_is_the_formula_with_both_labels(
    objective: type[Objective], real_label: float, fake_label: float
) -> None:
    loss = discriminator_loss(objective(real_label=real_label, fake_label=fake_label), REAL, FAKE)  # type: ignore[call-arg]
    assert loss.dtype == torch.float64
    torch.testing.assert_close(loss, written_out(REAL, real_label) + written_out(FAKE, fake_label), rtol=1e-12, atol=0)


def test_generator_loss_of_bce_is_minus_log_d_and_smoothing_leaves_it_alone() -> None:
    expected = -torch.log(1 / (1 + torch.exp(-FAKE))).mean()
    for objective in (NonSaturating(), NonSaturating(real_label=0.9, fake_label=0.1)):
        torch.testing.assert_close(generator_loss(objective, FAKE), expected, rtol=1e-12, atol=0)


def test_generator_loss_of_minimax_is_log_of_one_minus_d() -> None:
    expected = torch.log(1 - 1 / (1 + torch.exp(-FAKE))).mean()
    torch.testing.assert_close(generator_loss(Minimax(), FAKE), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("objective", [NonSaturating(), Minimax()])
def test_minimax_is_a_zero_sum_game_and_bce_is_not(objective: Objective) -> None:
    """At the labels of the paper, G's part of minimax is exactly the fake part of D's with the sign turned."""
    fakes_of_d = cross_entropy(FAKE, 0.0)
    is_zero_sum = torch.isclose(generator_loss(objective, FAKE), -fakes_of_d)
    assert bool(is_zero_sum) == isinstance(objective, Minimax)


def test_at_its_optimum_against_a_perfect_generator_d_loses_log_4() -> None:
    undecided = torch.zeros(5, dtype=torch.float64)
    for objective in (NonSaturating(), Minimax()):
        assert discriminator_loss(objective, undecided, undecided).item() == pytest.approx(math.log(4), rel=1e-12)
    assert generator_loss(NonSaturating(), undecided).item() == pytest.approx(math.log(2), rel=1e-12)
    assert generator_loss(Minimax(), undecided).item() == pytest.approx(-math.log(2), rel=1e-12)


def test_log_4_is_what_training_d_against_the_same_distribution_comes_to() -> None:
    """Not the formula again: a discriminator that is trained on two samples of one normal gets there."""
    torch.manual_seed(0)
    samples = torch.randn(2, 4096, 1, dtype=torch.float64)
    network = nn.Linear(1, 1, dtype=torch.float64)
    optimizer = torch.optim.LBFGS(network.parameters(), max_iter=50, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        turn = turn_of("discriminator", *samples, discriminator=lambda x, labels: network(x)[:, 0])
        value = NonSaturating().discriminator_loss(turn)
        value.backward()
        return value

    optimizer.step(loss)  # type: ignore[arg-type]
    assert loss().item() == pytest.approx(math.log(4), abs=2e-3)
    assert loss().item() <= math.log(4)


def test_smoothing_keeps_d_from_being_sure() -> None:
    """With 0.9 for real, D's loss on reals is least where D says 0.9 and grows beyond (Salimans et al. 2016)."""
    logits = torch.linspace(-8, 8, 1601, dtype=torch.float64)
    losses = torch.stack([cross_entropy(logit[None], 0.9) for logit in logits])
    assert torch.sigmoid(logits[losses.argmin()]).item() == pytest.approx(0.9, abs=1e-3)


def test_labels_the_wrong_way_round_are_refused() -> None:
    for objective in (NonSaturating, Minimax):
        with pytest.raises(ValueError, match=r"real_label \(0.1\) must be larger than fake_label \(0.2\)"):
            objective(real_label=0.1, fake_label=0.2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_extreme_logits_stay_finite_with_finite_gradients(dtype: torch.dtype) -> None:
    """`log(sigmoid(x))` would be minus infinity here."""
    for size in (1e2, 3e4):
        for objective in (NonSaturating(), NonSaturating(real_label=0.9), Minimax()):
            logits = torch.tensor([-size, size], dtype=dtype, requires_grad=True)
            loss = discriminator_loss(objective, logits, logits) + generator_loss(objective, logits)
            loss.backward()
            assert loss.isfinite()
            assert logits.grad is not None
            assert logits.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_losses_of_half_precision_logits_are_computed_in_float32(dtype: torch.dtype) -> None:
    logits = torch.linspace(-3, 3, 1000).to(dtype)
    for objective in (NonSaturating(real_label=0.9), Minimax()):
        loss = discriminator_loss(objective, logits, logits)
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, discriminator_loss(objective, logits.float(), logits.float()), rtol=0, atol=0)
        assert generator_loss(objective, logits).dtype == torch.float32


def test_gradient_of_bce_is_strong_where_d_is_sure_and_that_of_minimax_vanishes() -> None:
    """The reason for the non-saturating loss (Goodfellow et al. 2014, section 3)."""

    def gradient(objective: Objective, logit: float) -> float:
        fake = torch.tensor([logit], dtype=torch.float64, requires_grad=True)
        generator_loss(objective, fake).backward()
        assert fake.grad is not None
        return fake.grad.item()

    for logit in (-10.0, 0.0, 3.0):
        sigmoid = 1 / (1 + math.exp(-logit))
        assert gradient(NonSaturating(), logit) == pytest.approx(sigmoid - 1, rel=1e-12)
        assert gradient(Minimax(), logit) == pytest.approx(-sigmoid, rel=1e-12)
    assert gradient(NonSaturating(), -10.0) < -0.99
    assert -1e-4 < gradient(Minimax(), -10.0) < 0


@pytest.mark.parametrize("objective", [NonSaturating(real_label=0.9), Minimax()])
def test_d_learns_to_raise_reals_and_to_lower_fakes(objective: Objective) -> None:
    def slope(real: float, fake: float) -> float:
        """Derivative of D's loss by the weight of `D(x) = weight * x`, at weight 0."""
        weight = torch.zeros((), requires_grad=True)
        samples = torch.tensor([[real], [fake]])
        turn = turn_of("discriminator", *samples, discriminator=lambda x, labels: weight * x)
        objective.discriminator_loss(turn).backward()
        assert weight.grad is not None
        return weight.grad.item()

    assert slope(real=1.0, fake=0.0) < 0 < slope(real=0.0, fake=1.0)


def test_one_sided_losses_take_no_reals_in_the_generators_turn() -> None:
    """A generator that eats reals nobody looks at would change which batch every later turn gets."""
    for component in (NonSaturating(), Minimax()):
        assert not component.generator_sees_real
        turn = turn_of("generator", torch.zeros(0), FAKE)
        turn.real_samples = None
        component.generator_loss(turn)


# --- noisy labels ------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", [NonSaturating, Minimax])
def test_flipped_labels_are_those_of_the_other_kind_and_as_many_as_asked_for(objective: type[Objective]) -> None:
    """Each sample is given the right or the other label: the expected loss mixes both."""
    torch.manual_seed(0)
    real, fake = REAL.repeat(20_000), FAKE.repeat(20_000)
    loss = discriminator_loss(objective(flip=0.2, real_label=0.9, fake_label=0.1), real, fake)  # type: ignore[call-arg]
    mixed = sum(
        share * (written_out(REAL, kind) + written_out(FAKE, 1 - kind)) for share, kind in ((0.8, 0.9), (0.2, 0.1))
    )
    torch.testing.assert_close(loss, mixed, rtol=5e-3, atol=0)


def test_labels_are_flipped_sample_by_sample() -> None:
    torch.manual_seed(0)
    values = {discriminator_loss(NonSaturating(flip=0.4), REAL, FAKE).item() for _ in range(40)}
    assert len(values) > 4


def test_without_flipping_no_random_number_is_drawn() -> None:
    """Or a recipe from before the option would train something else."""
    before = torch.get_rng_state()
    discriminator_loss(NonSaturating(), REAL, FAKE)
    assert torch.equal(before, torch.get_rng_state())


def test_flipping_leaves_the_generators_loss_alone() -> None:
    assert generator_loss(NonSaturating(flip=0.4), FAKE) == generator_loss(NonSaturating(), FAKE)
