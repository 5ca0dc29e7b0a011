"""Penalties on weights against sums written out, and what they leave alone."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations
from turns import turn_of

from ganforge.penalties import Penalty
from ganforge.penalties.weights import Orthogonal, WeightDecayL1, WeightDecayL2, filters_of


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3), nn.Flatten(1), nn.Linear(3, 2)).double()


def value_of(penalty: Penalty, module: nn.Module) -> torch.Tensor:
    nothing = torch.empty(0)
    as_player = {penalty.player: module}
    return penalty(turn_of(penalty.player, None, nothing, as_player.get("discriminator"), as_player.get("generator")))


@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_decays_are_the_sums_over_matrices_and_kernels_of_their_player(player) -> None:
    module = network()
    weights = torch.cat([module[0].weight.flatten(), module[3].weight.flatten()]).tolist()  # type: ignore[operator]
    l1 = value_of(WeightDecayL1(player=player, rate=0.1), module)
    l2 = value_of(WeightDecayL2(player=player, rate=0.1), module)
    assert l1.item() == pytest.approx(0.1 * sum(abs(weight) for weight in weights), rel=1e-12)
    assert l2.item() == pytest.approx(0.05 * sum(weight**2 for weight in weights), rel=1e-12)


def test_decays_leave_biases_and_norms_alone_unless_told() -> None:
    for kind in (WeightDecayL1, WeightDecayL2):
        for everything in (False, True):
            module = network()
            value_of(kind(everything=everything), module).backward()
            touched = {name for name, parameter in module.named_parameters() if parameter.grad is not None}
            kernels = {"0.weight", "3.weight"}
            assert touched == ({name for name, _ in module.named_parameters()} if everything else kernels)


def test_the_gradient_of_l2_is_rate_times_the_weight() -> None:
    module: Any = network()
    value_of(WeightDecayL2(rate=0.3), module).backward()
    assert module[3].weight.grad is not None
    torch.testing.assert_close(module[3].weight.grad, 0.3 * module[3].weight.detach(), rtol=1e-12, atol=0)


def test_orthogonal_is_the_sum_of_squared_products_of_different_filters() -> None:
    module = network()
    expected = 0.0
    for filters in (module[0].weight.reshape(3, 8), module[3].weight):  # type: ignore[operator]
        for i, one in enumerate(filters):  # type: ignore[arg-type]
            for j, other in enumerate(filters):  # type: ignore[arg-type]
                expected += 0.0 if i == j else (one @ other).item() ** 2
    assert value_of(Orthogonal(rate=0.1), module).item() == pytest.approx(0.1 * expected, rel=1e-12)


def test_orthogonal_filters_of_any_length_cost_nothing() -> None:
    layer = nn.Linear(5, 3, dtype=torch.float64)
    nn.init.orthogonal_(layer.weight)
    with torch.no_grad():
        layer.weight.mul_(torch.tensor([[0.1], [2.0], [30.0]]))
    assert value_of(Orthogonal(rate=1.0), nn.Sequential(layer)).item() == pytest.approx(0.0, abs=1e-20)


def test_filters_of_a_transposed_convolution_are_those_of_its_outputs() -> None:
    (filters,) = filters_of(nn.Sequential(nn.ConvTranspose2d(4, 6, 3)))
    assert filters.shape == (6, 4 * 9)


def test_under_spectral_norm_the_power_iteration_is_not_turned() -> None:
    """Every look at such a layer's weight in training moves its vectors; a penalty must not train another D."""
    layer = parametrizations.spectral_norm(nn.Linear(5, 3)).train()
    before = [buffer.clone() for buffer in layer.buffers()]
    value_of(Orthogonal(), nn.Sequential(layer)).backward()
    assert all(torch.equal(*pair) for pair in zip(before, layer.buffers(), strict=True))
    assert layer.parametrizations["weight"].original.grad is not None  # type: ignore[index]


@pytest.mark.parametrize("kind", [WeightDecayL1, WeightDecayL2, Orthogonal])
def test_under_bf16_autocast_sums_stay_float32(kind) -> None:
    module = network().float()
    plain = value_of(kind(), module)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(value_of(kind(), module), plain, rtol=0, atol=0)
