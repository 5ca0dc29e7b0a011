"""Feature matching: its formula, the layers that it may look at, and whom it teaches."""

import pytest
import torch
from torch import Tensor, nn
from turns import turn_of

from ganforge.errors import GanforgeError
from ganforge.penalties.features import FeatureMatching, find_layers
from ganforge.registry import register
from ganforge.spec import DataSpec


class TwoLayers(nn.Module):
    """`D(x)` with the inner layers `2 x` and `x^2` of three numbers each."""

    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.Linear(3, 3, bias=False)
        nn.init.eye_(self.twice.weight).data.mul_(2.0)
        self.features = nn.Sequential()
        self.double()

    def forward(self, samples: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.twice(samples).sum(1) + self.features(samples.square()).sum(1)


def points(seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(9, 3, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def test_it_is_the_squared_distance_of_mean_features_summed_over_layers() -> None:
    real, fake = points(0), points(1)
    twice = 4 * (real.mean(0) - fake.mean(0)).square().sum()
    square = (real.square().mean(0) - fake.square().mean(0)).square().sum()
    for layers, expected in ((("twice",), twice), (("features",), square), (("features", "twice"), twice + square)):
        value = FeatureMatching(layers=layers, strength=0.5)(turn_of("generator", real, fake, TwoLayers()))
        torch.testing.assert_close(value, 0.5 * expected, rtol=1e-12, atol=0)


def test_it_is_the_generators_and_says_what_it_needs() -> None:
    assert (FeatureMatching.player, FeatureMatching.sees_real, FeatureMatching.hooks_discriminator) == (
        "generator",
        True,
        True,
    )


def test_gradients_reach_the_generator_and_pull_its_mean_to_that_of_the_reals() -> None:
    generator = nn.Linear(3, 3, dtype=torch.float64)
    discriminator = TwoLayers()
    discriminator.requires_grad_(False)
    real = points(0) + 5.0
    turn = turn_of("generator", real, points(1), discriminator, lambda latent, labels: generator(latent))
    FeatureMatching(layers=("twice",))(turn).backward()
    assert generator.bias.grad is not None
    expected = 8 * (turn.fake.mean(0) - real.mean(0)).detach()
    torch.testing.assert_close(generator.bias.grad, expected, rtol=1e-12, atol=0)


def test_no_hook_stays_behind_even_after_an_error() -> None:
    discriminator = TwoLayers()
    FeatureMatching()(turn_of("generator", points(0), points(1), discriminator))
    with pytest.raises(RuntimeError):
        FeatureMatching()(turn_of("generator", torch.ones(2, 5), points(1), discriminator))
    assert all(not module._forward_hooks for module in discriminator.modules())


def test_a_missing_layer_is_told_with_those_that_there_are() -> None:
    with pytest.raises(GanforgeError, match=r"has no layer 'feature'; its layers: twice, features"):
        find_layers(TwoLayers(), ("feature",))
    with pytest.raises(GanforgeError, match=r"no layer called features, blocks, stages, hidden; set `layers`.*: 0"):
        find_layers(nn.Sequential(nn.Linear(1, 1)), ())


@pytest.mark.parametrize(("name", "shape", "layer"), [("mlp", (2,), "hidden"), ("dcgan", (1, 16, 16), "blocks")])
def test_our_discriminators_have_a_usual_layer_bare_or_wrapped(name: str, shape: tuple[int, ...], layer: str) -> None:
    component = register.discriminator.get(name)
    discriminator = component.build(component.check({"width": 4}), spec=DataSpec(shape))
    for network in (discriminator, nn.ModuleDict({"wrapped": discriminator})):
        assert find_layers(network, ()) == [getattr(discriminator, layer)]


def test_means_of_bf16_features_are_taken_in_float32() -> None:
    discriminator = TwoLayers().float()
    real, fake = points(0, torch.float32), points(1, torch.float32)
    plain = FeatureMatching()(turn_of("generator", real, fake, discriminator))
    with torch.autocast("cpu", torch.bfloat16):
        halved = FeatureMatching()(turn_of("generator", real, fake, discriminator))
        rounded = FeatureMatching(layers=("twice",))(turn_of("generator", real, fake, discriminator))
    assert halved.dtype == rounded.dtype == torch.float32
    torch.testing.assert_close(halved, plain)
    exact = FeatureMatching(layers=("twice",))(turn_of("generator", real, fake, discriminator))
    assert exact != rounded
    torch.testing.assert_close(rounded, exact, rtol=0.02, atol=0)
