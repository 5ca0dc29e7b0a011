"""The SNGAN pair against the paper's tables."""

import re
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from ganforge.models.attention import SelfAttention
from ganforge.models.conditioning import ConditionalBatchNorm
from ganforge.models.layers import LayerStyle
from ganforge.models.residual import GrowingBlock, ShrinkingBlock
from ganforge.models.resnet import ResNetDiscriminator, ResNetGenerator
from ganforge.models.sizes import EVEN
from ganforge.spec import DataSpec

CIFAR = DataSpec((3, 32, 32))
LABELLED = DataSpec((3, 32, 32), tuple("abcdefghij"))


def num_parameters(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def kinds(network: nn.Module, *types: type[nn.Module]) -> list[Any]:
    return [layer for layer in network.modules() if isinstance(layer, types)]


def convolution(channels_in: int, channels: int, side: int = 3) -> int:
    return channels_in * channels * side**2 + channels


def test_parameter_counts_are_those_of_the_papers_table_for_cifar() -> None:
    block = 2 * convolution(256, 256) + convolution(256, 256, 1) + 2 * 2 * 256
    generator = 129 * 4 * 4 * 256 + 3 * block + 2 * 256 + convolution(256, 3)
    assert num_parameters(ResNetGenerator(CIFAR)) == generator == 4_276_739
    first = convolution(3, 128) + convolution(128, 128) + convolution(3, 128, 1)
    halving = 2 * convolution(128, 128) + convolution(128, 128, 1)
    discriminator = first + halving + 2 * 2 * convolution(128, 128) + 128
    assert num_parameters(ResNetDiscriminator(CIFAR)) == discriminator == 1_053_824


def test_the_last_layer_has_a_bias_where_the_authors_code_has_one() -> None:
    def bias(side: int, **options: Any) -> bool:
        return ResNetDiscriminator(DataSpec((3, side, side)), width=2, **options).head[0].bias is not None

    assert [bias(side) for side in (32, 64, 128)] == [False, True, True]
    assert bias(32, last_bias=True)
    assert not bias(64, last_bias=False)


@pytest.mark.parametrize("resample", ["plain", "blur"])
@pytest.mark.parametrize("is_first", [False, True])
def test_a_bias_is_the_same_at_the_edges_of_a_map_as_in_its_middle(resample: Any, is_first: bool) -> None:
    """The low-pass filter fades to 0 beyond the map and must not take biases with it: 0.56 of one in corners."""
    style = LayerStyle("none", "relu", 0.0)
    blocks = [
        GrowingBlock(3, 3, style, False, resample, EVEN),
        ShrinkingBlock(3, 3, False, resample, is_first=is_first, halved=EVEN),
    ]
    for block in blocks:
        for layer in kinds(block, nn.Conv2d):
            nn.init.zeros_(layer.weight)
            if layer.bias is not None:
                nn.init.ones_(layer.bias)
        maps = block(torch.zeros(1, 3, 8, 8))
        torch.testing.assert_close(maps, maps[:, :, 2:3, 2:3].expand_as(maps))
        assert maps.mean() >= 1


@pytest.mark.parametrize(("side", "widths"), [(64, [1024, 512, 256, 128, 64]), (128, [1024, 1024, 512, 256, 128, 64])])
def test_larger_pictures_have_the_authors_widths(side: int, widths: list[int]) -> None:
    with torch.device("meta"):
        generator: Any = ResNetGenerator(DataSpec((3, side, side)))
        discriminator: Any = ResNetDiscriminator(DataSpec((3, side, side)), spectral_norm=False)
    assert [block.shortcut.out_channels for block in generator.blocks] == widths[1:]
    last = discriminator.blocks[-2].residual[-1].out_channels
    assert [block.residual[-1].out_channels for block in discriminator.blocks[:5]] == [64, 128, 256, 512, 1024]
    assert last == 1024
    assert len(kinds(discriminator, ShrinkingBlock)) == (5 if side == 64 else 6)


@pytest.mark.parametrize("side", [32, 64, 128])
def test_every_size_goes_forward_and_backward(side: int) -> None:
    spec = DataSpec((3, side, side))
    generator, discriminator = ResNetGenerator(spec, width=2), ResNetDiscriminator(spec, width=2)
    fake = generator(torch.randn(2, 128))
    assert fake.shape == (2, 3, side, side)
    discriminator(fake).sum().backward()
    assert all(weight.grad is not None for weight in [*generator.parameters(), *discriminator.parameters()])


def test_spectral_norm_is_on_every_layer_of_the_discriminator_and_on_none_of_the_generator() -> None:
    weighted = (nn.Conv2d, nn.Linear, nn.Embedding)
    discriminator = ResNetDiscriminator(LABELLED, width=4, conditional="projection", attention=16)
    assert all(parametrize.is_parametrized(layer, "weight") for layer in kinds(discriminator, *weighted))
    assert not any(parametrize.is_parametrized(layer) for layer in kinds(ResNetGenerator(CIFAR, width=4), *weighted))


def test_the_first_block_sees_the_dark_half_of_pictures() -> None:
    discriminator: Any = ResNetDiscriminator(CIFAR, width=4, spectral_norm=False)
    dark = -torch.rand(2, 3, 32, 32)
    assert discriminator.blocks[0](dark).sub(discriminator.blocks[0](2 * dark)).abs().max() > 0
    assert not isinstance(discriminator.blocks[0].residual[0], nn.ReLU)
    assert isinstance(discriminator.blocks[1].residual[0], nn.ReLU)


def test_conditional_batch_norm_stands_in_every_block_and_not_at_the_end() -> None:
    generator = ResNetGenerator(LABELLED, width=4, conditional="norm")
    assert len(kinds(generator.blocks, ConditionalBatchNorm)) == 6
    assert not kinds(generator.output, ConditionalBatchNorm)


def test_attention_stands_after_the_block_whose_map_has_its_side() -> None:
    generator, discriminator = ResNetGenerator(CIFAR, width=8, attention=16), ResNetDiscriminator(CIFAR, attention=16)
    assert isinstance(generator.blocks[2], SelfAttention)
    assert isinstance(discriminator.blocks[1], SelfAttention)
    with pytest.raises(ValueError, match="attention = 5: the blocks' maps have heights 8, 16, 32"):
        ResNetGenerator(CIFAR, attention=5)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((3, 2, 2), r"are 2x2 \(nearest: 3x3\): pack them"), ((2,), "use 'mlp'")],
)
@pytest.mark.parametrize("make", [ResNetGenerator, ResNetDiscriminator])
def test_samples_it_cannot_make_are_refused_with_the_remedy(make: Any, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(DataSpec(shape))


IMAGENET = DataSpec((3, 128, 128), tuple(map(str, range(1000))))
BIGGAN: dict[str, Any] = {"conditional": "shared", "hierarchical": True}


def test_parameter_counts_are_those_of_the_authors_biggan() -> None:
    with torch.device("meta"):
        generator = ResNetGenerator(IMAGENET, latent_dim=120, width=96, attention=64, spectral_norm=True, **BIGGAN)
        discriminator = ResNetDiscriminator(IMAGENET, width=96, attention=64, wide=True, conditional="projection")
    assert num_parameters(generator) == 70_433_988
    assert num_parameters(discriminator) == 87_982_370


@torch.no_grad()
def fill(network: nn.Module) -> None:
    """Numbers that depend on the names and places alone, of the size that keeps maps as they are."""
    for place, (_, tensor) in enumerate(sorted(network.named_parameters())):
        hashed = (torch.arange(tensor.numel(), dtype=torch.float64) * 12.9898 + place).sin() * 43758.5453
        tensor.copy_(((hashed - hashed.floor()) * 2 - 1).view(tensor.shape) * 3**0.5)
        tensor.mul_(1.0 if tensor.dim() == 0 else 0.3 if tensor.dim() == 1 else tensor[0].numel() ** -0.5)


@torch.no_grad()
def test_outputs_are_those_of_the_authors_biggan() -> None:
    """What their PyTorch networks make of the same weights, in float64 and without spectral norm."""
    spec, labels = DataSpec((3, 128, 128), tuple("abcdefghij")), torch.tensor([3, 7])
    generator = ResNetGenerator(spec, latent_dim=18, width=4, attention=64, class_dim=8, **BIGGAN).double().eval()
    discriminator = ResNetDiscriminator(
        spec, width=8, attention=64, wide=True, conditional="projection", spectral_norm=False
    )
    fill(generator)
    fill(discriminator.double().eval())
    made = generator((torch.arange(36, dtype=torch.float64) * 0.9).sin().view(2, 18) * 1.3, labels)
    found = torch.stack([made.mean(), made.std(), made[0, 0, 5, 9], made[1, 2, 40, 33]])
    expected = [0.06366774470237833, 0.4456560412025592, 0.3318587042126683, 0.36101788281447805]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-12)
    logits = torch.tensor([-16.836696397126367, -12.986895275918863], dtype=torch.float64)
    torch.testing.assert_close(discriminator(made, labels), logits, rtol=1e-9, atol=1e-12)


def test_each_piece_of_a_hierarchical_latent_reaches_its_own_block() -> None:
    generator = ResNetGenerator(CIFAR, latent_dim=12, width=8, hierarchical=True).eval()
    seen: list[Any] = []
    for block in kinds(generator, GrowingBlock):
        block.register_forward_hook(lambda module, inputs, output: seen.append(inputs[1]))
    latent = torch.arange(24.0).view(2, 12)
    generator(latent)
    assert [piece.tolist() for piece in seen] == [latent[:, at : at + 3].tolist() for at in (3, 6, 9)]


def test_a_shared_class_without_a_hierarchy_gives_all_of_the_latent_to_the_first_layer() -> None:
    generator = ResNetGenerator(LABELLED, latent_dim=7, width=8, conditional="shared", class_dim=5).eval()
    latent, labels = torch.randn(2, 7), torch.tensor([1, 4])
    made = generator(latent, labels)
    assert not torch.equal(made, generator(latent, labels.flip(0)))
    assert sum(tuple(weight.shape) == (10, 5) for weight in generator.parameters()) == 1
    assert generator.stem[0].in_features == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"hierarchical": True, "latent_dim": 14},
            "does not come apart in 4 equal pieces",
        ),
        ({"hierarchical": True, "latent_dim": 13}, "(hierarchical); use 12 or 16"),
        ({"hierarchical": True, "conditional": "norm", "latent_dim": 12}, 'goes with conditional = "none" or "shared"'),
        ({"conditional": "shared", "norm": "none"}, 'norm = "batch" or "sync", not "none"'),
    ],
)
def test_what_a_hierarchy_cannot_be_is_refused(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        ResNetGenerator(LABELLED, width=4, **options)
