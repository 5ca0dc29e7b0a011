"""Networks for pictures of any size: what they make, what they refuse, and that the papers' sizes are as they were."""

import hashlib
import json
from itertools import product
from typing import Any

import pytest
import torch
from torch import nn

from ganforge.models.convolutions import doubling, halving
from ganforge.models.resampling import BlurDownsample, BlurUpsample
from ganforge.models.sizes import NearestUpsample, Odd, maps_of
from ganforge.registry import register
from ganforge.spec import DataSpec

FAMILIES = ("dcgan", "resnet", "r3gan")
SIZES = {(48, 80): (3, 5), (100, 100): (7, 7), (96, 96): (6, 6), (28, 28): (7, 7), (36, 60): (3, 4), (16, 64): (2, 8)}
AS_BEFORE = {
    ("dcgan", 16): ("36def1bfa6e1", 494.456, "e0c4b7a5916d", 74.619),
    ("dcgan", 28): ("bdc2b1f71f2e", 1338.105, "6e315d7a9f4f", 83.337),
    ("dcgan", 32): ("232f3302c833", 1099.856, "de81d65f97d3", 273.103),
    ("dcgan", 64): ("d2c4a3fe6801", 2563.155, "a9c883090f81", 933.623),
    ("dcgan", 128): ("b3156932af1e", 3746.454, "659049ce17d3", 2108.723),
    ("dcgan", 256): ("6d57936e2c21", 4912.9, "03a6b16bf5aa", 3284.645),
    ("resnet", 32): ("4ef9826a45e9", 1940.954, "1da73fcca752", 730.766),
    ("resnet", 64): ("278d0f1c8825", 16286.414, "e6ea1d5287f3", 8986.384),
    ("resnet", 128): ("012311c580da", 28694.852, "de61b477aeba", 19689.789),
    ("r3gan", 8): ("26399125dd94", 898.43, "0d33e690763d", 777.642),
    ("r3gan", 16): ("5f896f4ef3e3", 1160.984, "ae37928ae7a5", 1043.053),
    ("r3gan", 32): ("37f361a4e8f1", 1405.37, "d29df0580be6", 1287.725),
    ("r3gan", 64): ("b4cf24099cb6", 1454.246, "2b72cd721df4", 1351.629),
    ("r3gan", 128): ("fecb1c91e7d8", 1433.029, "259015eb2a8b", 1319.053),
    ("r3gan", 256): ("20f59bfb08ad", 1401.248, "28019658d232", 1272.621),
}
"""Of networks with `width = 8` and seed 0, when no other sizes were possible: a hash of the names and shapes of all
weights, and the sum of their magnitudes; of the generator and of the discriminator."""


def make(kind: str, family: str, size: tuple[int, int], channels: int = 3, **options: Any) -> nn.Module:
    component = register.kind(kind).get(family)
    torch.manual_seed(0)
    return component.build(component.options(width=8, **options), spec=DataSpec((channels, *size)))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", SIZES)
def test_pictures_of_any_size_are_made_and_judged(family: str, size: tuple[int, int]) -> None:
    generator, discriminator = make("generator", family, size, 4), make("discriminator", family, size, 4)
    fake = generator(torch.randn(2, generator.latent_dim))  # type: ignore[arg-type]
    assert fake.shape == (2, 4, *size)
    logits = discriminator(fake)
    assert logits.shape == (2,)
    logits.sum().backward()
    assert all(weight.grad is not None for weight in [*generator.parameters(), *discriminator.parameters()])


@pytest.mark.parametrize("resample", ["plain", "blur"])
@pytest.mark.parametrize("size", [(48, 80), (100, 100), (36, 60)])
def test_a_resnet_with_attention_and_either_resampling_takes_odd_maps(size: tuple[int, int], resample: str) -> None:
    options = {"attention": {48: 12, 100: 25, 36: 9}[size[0]], "resample": resample}
    fake = make("generator", "resnet", size, **options)(torch.randn(2, 128))
    assert fake.shape == (2, 3, *size)
    assert make("discriminator", "resnet", size, **options)(fake).shape == (2,)


@pytest.mark.parametrize("depth", [1, 2])
def test_a_u_net_judges_pictures_that_are_not_square(depth: int) -> None:
    component = register.discriminator.get("unet_patch")
    for size in ((48, 80), (100, 100), (36, 60)):
        network = component.build(component.options(width=8, depth=depth), spec=DataSpec((3, *size)))
        assert network(torch.rand(2, 3, *size)).shape == (2,)


@pytest.mark.parametrize("size", SIZES)
def test_the_smallest_map_is_the_one_that_halving_ends_at(size: tuple[int, int]) -> None:
    maps = maps_of(DataSpec((3, *size)), "dcgan")
    assert (maps.start, maps.sizes[-1]) == (SIZES[size], size)
    for (height, width), (above, beside) in zip(maps.sizes, maps.sizes[1:], strict=False):
        assert above in (2 * height - 1, 2 * height)
        assert beside in (2 * width - 1, 2 * width)


def test_every_picture_that_is_not_too_long_has_maps_and_every_other_is_told_of_two_that_have() -> None:
    for height, width in product(range(1, 140, 3), range(1, 140, 3)):
        spec = DataSpec((3, height, width))
        try:
            start = maps_of(spec, "dcgan").start
        except ValueError as error:
            assert max(height, width) > 2 * min(height, width) or max(height, width) < 3, spec
            near = str(error).split("nearest: ")[1].split(")")[0].split(" or ")
            for size in near:
                maps_of(DataSpec((3, *map(int, size.split("x")))), "dcgan")
        else:
            assert all(2 <= side <= 8 for side in start), spec


@pytest.mark.parametrize(("family", "side"), AS_BEFORE)
def test_the_papers_sizes_have_the_same_layers_and_first_weights_as_before(family: str, side: int) -> None:
    found: list[str | float] = []
    for kind in ("generator", "discriminator"):
        state = make(kind, family, (side, side)).state_dict()
        shapes = json.dumps({name: list(tensor.shape) for name, tensor in state.items()})
        found.append(hashlib.sha256(shapes.encode()).hexdigest()[:12])
        found.append(pytest.approx(sum(float(tensor.double().abs().sum()) for tensor in state.values()), rel=1e-5))
    assert list(AS_BEFORE[family, side]) == found


@pytest.mark.parametrize("odd", list(product([False, True], repeat=2)))
@pytest.mark.parametrize("kernel_size", [2, 3, 4, 5, 6, 7])
def test_convolutions_double_to_odd_sides_and_halve_them_rounded_up(kernel_size: int, odd: Odd) -> None:
    small = torch.randn(2, 5, 6, 9)
    large = doubling(5, 3, kernel_size, True, odd)(small)
    assert large.shape == (2, 3, 12 - odd[0], 18 - odd[1])
    assert halving(3, 5, kernel_size, True, odd)(large).shape == small.shape


@pytest.mark.parametrize("odd", list(product([False, True], repeat=2)))
def test_doubling_to_an_odd_side_is_doubling_less_an_outer_row(odd: Odd) -> None:
    small = torch.randn(2, 5, 6, 9)
    even = BlurUpsample()(small)
    torch.testing.assert_close(BlurUpsample(odd)(small), even[:, :, int(odd[0]) :, int(odd[1]) :])
    assert BlurDownsample(odd)(BlurUpsample(odd)(small)).shape == small.shape
    nearest = NearestUpsample(odd)(small)
    assert nearest.shape == (2, 5, 12 - odd[0], 18 - odd[1])
    assert torch.equal(nearest[:, :, ::2, ::2], small)
