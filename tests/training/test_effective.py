"""Networks of an equalised learning rate are judged by the weights that they use, and listed with all of them."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from turns import turn_of

from ganforge.dry_run import _layers
from ganforge.game.averaged import AveragedGenerator
from ganforge.game.effective import effective_parameters
from ganforge.models.resnet import ResNetDiscriminator, ResNetGenerator
from ganforge.models.stylegan2 import StyleGAN2Discriminator, StyleGAN2Generator
from ganforge.penalties.weights import Orthogonal, WeightDecayL2, filters_of
from ganforge.spec import DataSpec
from ganforge.telemetry.probe import Probe

SPEC = DataSpec((3, 16, 16))
SMALL: dict[str, Any] = {"channel_base": 128, "channel_max": 8}


def generator(**options: Any) -> StyleGAN2Generator:
    torch.manual_seed(0)
    return StyleGAN2Generator(SPEC, latent_dim=8, w_dim=8, **SMALL, **options)


def used(network: nn.Module) -> dict[str, Tensor]:
    names = {parameter: name for name, parameter in network.named_parameters()}
    return {names[parameter]: tensor for parameter, tensor in effective_parameters(network)}


def test_every_parameter_is_there_once_with_the_scale_that_its_layer_applies() -> None:
    network = generator()
    found = used(network)
    assert list(found) == [name for name, _ in network.named_parameters()]
    state = dict(network.named_parameters())
    torch.testing.assert_close(found["mapping.fc0.weight"], state["mapping.fc0.weight"] * 0.01 / 8**0.5)
    torch.testing.assert_close(found["mapping.fc0.bias"], state["mapping.fc0.bias"] * 0.01)
    lengths = found["synthesis.b8.conv0.weight"].flatten(1).norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones(8))
    torch.testing.assert_close(found["synthesis.b8.torgb.weight"], state["synthesis.b8.torgb.weight"] / 8**0.5)
    assert found["synthesis.b4.const"] is state["synthesis.b4.const"]


def test_what_is_used_is_what_the_layer_computes_with() -> None:
    network = StyleGAN2Discriminator(SPEC, **SMALL)
    layer = network.get_submodule("b16.conv0")
    maps = torch.randn(2, 8, 4, 4)
    expected = nn.functional.conv2d(maps, layer.effective("weight"), padding=1)  # type: ignore[operator]
    made = layer(maps)
    torch.testing.assert_close(made, nn.functional.leaky_relu(expected, 0.2) * 2**0.5)


def test_an_average_that_lags_behind_one_layer_of_the_synthesis_is_seen() -> None:
    """Stored weights of the mapping are a hundred times as long as all others, and hid it."""
    network = generator()
    averaged = AveragedGenerator(network)
    with torch.no_grad():
        for layer in network.synthesis.layers():  # type: ignore[operator]
            layer.weight.neg_()
    stored = [torch.stack([weight.norm() for weight in each]).norm() for each in (
        [mine - theirs for mine, theirs in zip(averaged.network.parameters(), network.parameters(), strict=True)],
        list(network.parameters()),
    )]  # fmt: skip
    assert stored[0] / stored[1] < 0.06
    distance = Probe.distance_of_average(None, averaged, network)["average_distance"]  # type: ignore[arg-type]
    assert distance > 0.5


def value_of(penalty: Any, module: nn.Module) -> Tensor:
    penalty.player = "generator"
    return penalty(turn_of("generator", None, torch.empty(0), generator=module))


def test_penalties_look_at_what_is_used() -> None:
    network = generator()
    matrices = [tensor for name, tensor in used(network).items() if tensor.dim() > 1]
    expected = 0.5 * 1e-2 * sum(float(tensor.detach().square().sum()) for tensor in matrices)
    assert value_of(WeightDecayL2(rate=1e-2), network).item() == pytest.approx(expected, rel=1e-5)
    layers = [tensor.flatten(1) for name, tensor in used(network).items() if name.endswith("weight")]
    assert len(list(filters_of(network))) == len(layers) == 8 + 2 * 5 + 2 * 3
    overlaps = [(filters @ filters.T).fill_diagonal_(0).square().sum() for filters in layers]
    value = value_of(Orthogonal(rate=1e-2), network)
    torch.testing.assert_close(value, 1e-2 * torch.stack(overlaps).sum())
    value.backward()
    assert network.synthesis.b8.conv0.weight.grad.abs().sum() > 0  # type: ignore[union-attr]


def test_what_is_frozen_is_not_punished() -> None:
    network = generator()
    whole = value_of(WeightDecayL2(), network)
    network.mapping.requires_grad_(False)
    mapping = sum(tensor.square().sum() for name, tensor in used(network).items() if "fc" in name and tensor.dim() > 1)
    torch.testing.assert_close(value_of(WeightDecayL2(), network), whole - 0.5e-4 * mapping)
    assert len(list(filters_of(network))) == 16


@pytest.mark.parametrize(
    ("network", "inputs"),
    [
        (generator(), torch.randn(2, 8)),
        (StyleGAN2Discriminator(SPEC, **SMALL), torch.randn(2, 3, 16, 16)),
        (ResNetGenerator(DataSpec((3, 32, 32)), width=4, spectral_norm=True), torch.randn(2, 128)),
        (ResNetDiscriminator(DataSpec((3, 32, 32)), width=8, attention=16), torch.randn(2, 3, 32, 32)),
    ],
    ids=["stylegan2", "stylegan2 d", "spectral norm", "attention"],
)
@torch.no_grad()
def test_the_dry_run_lists_every_parameter_once(network: nn.Module, inputs: Tensor) -> None:
    rows = _layers(network, (inputs,))
    assert sum(count for _, _, count in rows) == sum(parameter.numel() for parameter in network.parameters())
    assert not [name for name, _, _ in rows if "parametrizations" in name or "Parametrized" in name]
