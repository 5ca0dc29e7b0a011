"""The fully connected pair on points and on pictures."""

import pytest
import torch
from torch import nn

from ganforge.models.mlp import MLPDiscriminator, MLPGenerator
from ganforge.spec import DataSpec

POINTS = DataSpec((2,))


def num_linear(network: nn.Module) -> int:
    return sum(isinstance(layer, nn.Linear) for layer in network.modules())


def test_points_are_not_squeezed_into_a_range() -> None:
    generator = MLPGenerator(POINTS, latent_dim=2, width=64)
    assert generator(torch.randn(8, 2) * 1e3).abs().max() > 1


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 17, 23)])
def test_pictures_of_any_size_stay_in_range(shape: tuple[int, int, int]) -> None:
    spec = DataSpec(shape)
    fake = MLPGenerator(spec, width=16)(torch.randn(4, 100) * 1e3)
    assert fake.shape == (4, *shape)
    assert fake.abs().max() <= 1
    assert MLPDiscriminator(spec, width=16)(fake).shape == (4,)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_depth_counts_hidden_layers(depth: int) -> None:
    assert num_linear(MLPGenerator(POINTS, depth=depth)) == depth + 1
    assert num_linear(MLPDiscriminator(POINTS, depth=depth)) == depth + 1


def test_parameter_counts_of_the_ring_setting() -> None:
    generator = MLPGenerator(POINTS, latent_dim=2, width=64, depth=2)
    discriminator = MLPDiscriminator(POINTS, width=64, depth=2)
    assert sum(weight.numel() for weight in generator.parameters()) == (2 + 1) * 64 + 65 * 64 + 65 * 2
    assert sum(weight.numel() for weight in discriminator.parameters()) == (2 + 1) * 64 + 65 * 64 + 65


@pytest.mark.parametrize("norm", ["batch", "sync", "none", "spectral"])
def test_every_normalisation_goes_forward_and_backward_twice(norm: str) -> None:
    discriminator = MLPDiscriminator(POINTS, width=8, norm=norm)  # type: ignore[arg-type]
    real = torch.randn(16, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(discriminator(real).sum(), real, create_graph=True)
    gradient.square().sum().backward()
    first = next(discriminator.parameters())
    assert first.grad is not None
    assert first.grad.isfinite().all()


def test_the_mlp_can_learn_where_points_are() -> None:
    torch.manual_seed(0)
    discriminator = MLPDiscriminator(POINTS, width=32)
    optimizer = torch.optim.Adam(discriminator.parameters(), 1e-2)
    points = torch.randn(512, 2) * 2
    inside = (points.norm(dim=1) < 2).float()
    for _ in range(150):
        loss = nn.functional.binary_cross_entropy_with_logits(discriminator(points), inside)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert ((discriminator(points) > 0) == (inside > 0)).float().mean() > 0.95
