"""Reals come in the layout that the discriminator's convolutions have, where that changes nothing but the time."""

import copy

import pytest
import torch

from ganforge.building.performance import place
from ganforge.data.loader import Loader
from ganforge.recipe import Recipe
from ganforge.registry import register
from ganforge.spec import DataSpec
from ganforge.tables import PerformanceTable
from ganforge.testing.small import build, labels
from ganforge.training.run import Run

PICTURES = {
    "plugins": ["ganforge.testing.pictures"],
    "data": {"name": "testing_pictures", "channels": 3, "size": 32},
    "generator": {"name": "dcgan", "width": 8, "latent_dim": 8},
    "discriminator": {"name": "dcgan", "width": 8},
    "training": {"steps": 3, "batch_size": 8},
}


def loader_of(recipe: Recipe) -> Loader:
    return Run.build(recipe).loader


def is_channels_last(samples: torch.Tensor) -> bool:
    return samples.is_contiguous(memory_format=torch.channels_last)


def test_reals_that_go_straight_into_convolutions_come_channels_last(make_recipe) -> None:
    assert is_channels_last(loader_of(make_recipe(**PICTURES)).next().samples)


@pytest.mark.parametrize(
    "changes",
    [
        {"augment": [{"name": "diffaugment"}]},
        {"penalties": [{"name": "gradient_penalty"}]},
        {"performance": {"channels_last": False}},
    ],
)
def test_reals_that_something_else_sums_first_come_as_ever(make_recipe, changes) -> None:
    assert not is_channels_last(loader_of(make_recipe(**PICTURES, **changes)).next().samples)


@pytest.mark.parametrize("name", ["dcgan", "mlp", "resnet", "r3gan", "unet_patch"])
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 32, 32)])
def test_a_discriminator_computes_the_same_from_either_layout(name: str, shape: tuple[int, ...]) -> None:
    spec = DataSpec(shape)
    network = build(register.discriminator.get(name), spec)
    place(network, PerformanceTable(), torch.device("cpu"), "no")
    stored = torch.rand(4, *shape[1:], shape[0], generator=torch.Generator().manual_seed(2)) * 2 - 1
    found = []
    for samples in (stored.permute(0, 3, 1, 2), stored.permute(0, 3, 1, 2).contiguous()):
        own = copy.deepcopy(network)  # spectral norm turns its vectors with each forward
        logits = own(samples, labels(spec))
        logits.square().sum().backward()
        found.append([logits.detach(), *[weight.grad for weight in own.parameters()]])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))
