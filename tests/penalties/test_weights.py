"""Penalties on weights against sums written out, and what they leave alone."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations
from turns import turn_of

from ganforge.models.conditioning import ConditionalBatchNorm
from ganforge.models.dcgan import DCGANGenerator
from ganforge.models.resnet import ResNetGenerator
from ganforge.penalties import Penalty
from ganforge.penalties.weights import Orthogonal, WeightDecayL1, WeightDecayL2, filters_of
from ganforge.spec import DataSpec


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


class Scale(nn.Module):
    """A plugin's norm, whose gains have the shape that broadcasts."""

    is_norm = True

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1, 3, 1, 1))


@pytest.mark.parametrize("kind", [WeightDecayL1, WeightDecayL2])
@pytest.mark.parametrize("everything", [False, True])
def test_gains_and_biases_of_classes_are_those_of_a_norm_however_many_dimensions_they_have(kind, everything) -> None:
    norms = nn.ModuleDict(
        {
            "classes": ConditionalBatchNorm(nn.BatchNorm2d(3, affine=False), 3, 5),
            "layer": nn.LayerNorm([3, 4, 4]),
            "own": Scale(),
        }
    )
    module = nn.ModuleDict({"norms": norms, "kernel": nn.Conv2d(3, 2, 1), "classes": nn.Embedding(5, 3)})
    value_of(kind(everything=everything), module).backward()
    touched = {name for name, parameter in module.named_parameters() if parameter.grad is not None}
    everywhere = {name for name, _ in module.named_parameters()}
    assert touched == (everywhere if everything else {"kernel.weight", "classes.weight"})


@pytest.mark.parametrize("kind", [WeightDecayL1, WeightDecayL2])
@pytest.mark.parametrize("network", [DCGANGenerator, ResNetGenerator], ids=["dcgan", "resnet"])
def test_no_decay_pulls_the_gains_of_a_class_conditional_generator_to_zero(kind, network) -> None:
    module = network(DataSpec((3, 32, 32), ("a", "b")), width=4, conditional="norm")
    value_of(kind(player="generator"), module).backward()
    gains = [layer.gain.weight for layer in module.modules() if isinstance(layer, ConditionalBatchNorm)]
    assert gains
    assert all(gain.grad is None for gain in gains)


@pytest.mark.parametrize("kind", [WeightDecayL1, WeightDecayL2, Orthogonal])
def test_a_network_without_anything_to_look_at_costs_nothing(kind) -> None:
    assert value_of(kind(), nn.BatchNorm1d(3)).item() == 0


def test_the_gradient_of_orthogonal_is_twice_that_of_the_authors_code() -> None:
    """Which adds `2 rate (W W^T * (1 - I)) W` to the gradient, as the manual says."""
    layer = nn.Linear(5, 3, dtype=torch.float64)
    value_of(Orthogonal(rate=0.5e-4), nn.Sequential(layer)).backward()
    weight = layer.weight.detach()
    theirs = 1e-4 * 2 * ((weight @ weight.T) * (1 - torch.eye(3))) @ weight
    assert layer.weight.grad is not None
    torch.testing.assert_close(layer.weight.grad, theirs, rtol=1e-12, atol=0)


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
