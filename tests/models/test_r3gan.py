"""The R3GAN pair against the published networks."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from ganforge.models.r3gan import R3GANDiscriminator, R3GANGenerator, Residual
from ganforge.spec import DataSpec

RGB32, RGB64, RGB256 = (DataSpec((3, side, side)) for side in (32, 64, 256))
CIFAR = DataSpec((3, 32, 32), tuple("abcdefghij"))
IMAGENET = DataSpec((3, 64, 64), tuple(map(str, range(1000))))
LARGE = {"width": 1536, "group_width": 32, "full_width_to": 64}


def num_parameters(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize(
    ("spec", "options", "generator", "discriminator"),
    [
        pytest.param(RGB32, {}, 20_732_160, 20_683_776, id="cifar"),
        pytest.param(CIFAR, {"conditional": True}, 20_781_952, 21_280_512, id="cifar-conditional"),
        pytest.param(RGB64, {}, 22_429_824, 22_381_440, id="ffhq64"),
        pytest.param(RGB256, {}, 23_057_952, 23_009_568, id="ffhq256"),
        pytest.param(IMAGENET, {"conditional": True, **LARGE}, 103_570_432, 107_205_120, id="imagenet64"),
    ],
)
def test_parameter_counts_are_those_of_the_authors_presets(
    spec: DataSpec, options: dict[str, Any], generator: int, discriminator: int
) -> None:
    conditional = options.pop("conditional", False)
    with torch.device("meta"):
        first = R3GANGenerator(spec, conditional="embedding" if conditional else "none", **options)
        second = R3GANDiscriminator(spec, conditional="projection" if conditional else "none", **options)
    assert num_parameters(first) == generator
    assert num_parameters(second) == discriminator


def test_groups_have_16_hidden_channels_at_every_width() -> None:
    with torch.device("meta"):
        network = R3GANGenerator(RGB64)
    mixing = [block.layers[2] for block in network.modules() if isinstance(block, Residual)]
    assert [(layer.in_channels, layer.groups) for layer in mixing] == [(1536, 96)] * 8 + [(768, 48)] * 2


def test_first_weights_are_fixups() -> None:
    torch.manual_seed(0)
    network = R3GANGenerator(RGB32, width=64)
    blocks: list[Any] = [block for block in network.modules() if isinstance(block, Residual)]
    assert len(blocks) == 8
    gain = math.sqrt(2 / 1.04) * 8**-0.25
    for block in blocks:
        widen, mix, back = block.layers[0], block.layers[2], block.layers[4]
        assert abs(widen.weight.std() / (gain / 8) - 1) < 0.05
        assert abs(mix.weight.std() / (gain / 12) - 1) < 0.05
        assert not widen.bias.any()
        assert not mix.bias.any()
        assert not back.weight.any()
    maps = torch.randn(2, 64, 8, 8)
    torch.testing.assert_close(blocks[0](maps), maps, rtol=0, atol=0)


def test_the_generator_starts_as_an_interpolation_of_its_basis() -> None:
    network: Any = R3GANGenerator(DataSpec((3, 8, 8)), width=16, output="linear").double()
    latent = torch.randn(2, 64, dtype=torch.float64)
    maps = network.basis.maps * (latent @ network.basis.weigh.weight.T)[:, :, None, None]
    doubled = nn.functional.interpolate(maps, scale_factor=2.0, mode="bilinear")
    expected = torch.einsum("ki,bihw->bkhw", network.output[0].weight[:, :, 0, 0], doubled)
    torch.testing.assert_close(network(latent)[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])


def test_pictures_stay_in_range_unless_the_published_linear_output_is_wanted() -> None:
    latent = 100 * torch.randn(4, 64)
    assert R3GANGenerator(RGB32, width=8)(latent).abs().max() <= 1
    assert R3GANGenerator(RGB32, width=8, output="linear")(latent).abs().max() > 1


def test_a_conditional_logit_is_the_product_of_features_and_class() -> None:
    network = R3GANDiscriminator(CIFAR, width=16, conditional="projection")
    pictures, labels = torch.randn(3, 3, 32, 32), torch.tensor([4, 4, 7])
    features = network.basis(network.stages(network.input(pictures)))
    expected = (features * network.projection.classes.weight[labels]).sum(dim=1)  # type: ignore[union-attr]
    torch.testing.assert_close(network(pictures, labels), expected)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        (
            (3, 8, 120),
            {},
            r"these are 8x120 \(nearest: 8x32 or 17x120\): pack them again with `ganforge data pack",
        ),
        ((2,), {}, "use 'mlp'"),
        ((3, 32, 32), {"width": 25}, r"50 hidden channels do not divide into groups of group_width = 16"),
        ((3, 256, 256), {"width": 2}, r"width = 2 leaves no channel on a map of 256x256"),
    ],
)
@pytest.mark.parametrize("make", [R3GANGenerator, R3GANDiscriminator])
def test_what_it_cannot_make_is_refused_with_the_remedy(
    make: Any, shape: tuple[int, ...], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make(DataSpec(shape), **options)
