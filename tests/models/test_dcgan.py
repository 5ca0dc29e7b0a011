"""The DCGAN pair against the paper and against the numbers of the well-known PyTorch example."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.nn.utils import parametrize

from ganforge.models.dcgan import DCGANDiscriminator, DCGANGenerator
from ganforge.registry import register
from ganforge.spec import DataSpec

RGB64 = DataSpec((3, 64, 64))
BatchNorm = (nn.BatchNorm2d, nn.SyncBatchNorm)


def num_parameters(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def layers(network: nn.Module, *types: type[nn.Module]) -> list[Any]:
    return [layer for layer in network.modules() if isinstance(layer, types)]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [16, 28, 32, 64, 128, 256])
def test_every_size_and_channel_count_goes_forward_and_backward(size: int, channels: int) -> None:
    spec = DataSpec((channels, size, size))
    generator, discriminator = DCGANGenerator(spec, width=4), DCGANDiscriminator(spec, width=4)
    fake = generator(torch.randn(2, 100))
    assert fake.shape == (2, channels, size, size)
    assert discriminator(fake).shape == (2,)
    discriminator(fake).sum().backward()
    assert all(weight.grad is not None for weight in [*generator.parameters(), *discriminator.parameters()])


@pytest.mark.parametrize("kernel_size", [2, 3, 4, 5, 6, 7])
@pytest.mark.parametrize("size", [28, 32])
def test_kernels_of_any_side_double_and_halve_exactly(size: int, kernel_size: int) -> None:
    spec = DataSpec((3, size, size))
    fake = DCGANGenerator(spec, width=4, kernel_size=kernel_size)(torch.randn(2, 100))
    assert fake.shape == (2, 3, size, size)
    assert DCGANDiscriminator(spec, width=4, kernel_size=kernel_size)(fake).shape == (2,)


def test_parameter_counts_are_those_of_the_pytorch_example() -> None:
    assert num_parameters(DCGANGenerator(RGB64)) == 3_576_704
    assert num_parameters(DCGANDiscriminator(RGB64)) == 2_765_568


def test_the_papers_generator_has_1024_channels_on_its_first_map() -> None:
    generator = DCGANGenerator(RGB64, width=128, kernel_size=5, stem="dense", latent_distribution="uniform")
    assert generator.stem(torch.randn(2, 100)).shape == (2, 1024, 4, 4)
    assert [layer.out_channels for layer in layers(generator, nn.ConvTranspose2d)] == [512, 256, 128, 3]


def test_dense_and_convolutional_ends_have_as_many_weights() -> None:
    assert num_parameters(DCGANGenerator(RGB64, stem="dense")) == 3_576_704
    assert num_parameters(DCGANDiscriminator(RGB64, head="dense")) == 2_765_568


def test_pictures_of_28_start_from_a_map_of_7() -> None:
    spec = DataSpec((1, 28, 28))
    assert DCGANGenerator(spec, width=4).stem(torch.randn(2, 100)).shape == (2, 8, 7, 7)
    discriminator = DCGANDiscriminator(spec, width=4)
    assert discriminator.blocks(discriminator.input(torch.randn(2, 1, 28, 28))).shape == (2, 8, 7, 7)


def test_channels_stop_doubling_at_max_multiple() -> None:
    spec = DataSpec((3, 256, 256))
    assert DCGANGenerator(spec, width=4).stem(torch.randn(2, 100)).shape[1] == 32
    assert DCGANGenerator(spec, width=4, max_multiple=64).stem(torch.randn(2, 100)).shape[1] == 128


@pytest.mark.parametrize("make", [DCGANGenerator, DCGANDiscriminator])
def test_first_weights_are_normal_with_deviation_002_and_gains_around_one(make: Any) -> None:
    torch.manual_seed(0)
    network = make(RGB64)
    for layer in layers(network, nn.Conv2d, nn.ConvTranspose2d):
        count = layer.weight.numel()
        assert abs(layer.weight.mean()) < 5 * 0.02 / math.sqrt(count)
        assert abs(layer.weight.std() - 0.02) < 5 * 0.02 / math.sqrt(2 * count)
    gains = torch.cat([layer.weight for layer in layers(network, nn.BatchNorm2d)])
    assert abs(gains.mean() - 1) < 5 * 0.02 / math.sqrt(len(gains))
    assert abs(gains.std() - 0.02) < 5 * 0.02 / math.sqrt(2 * len(gains))
    assert all((layer.bias == 0).all() for layer in layers(network, nn.BatchNorm2d))


def test_batch_norm_is_everywhere_but_on_the_generators_output_and_the_discriminators_input() -> None:
    generator, discriminator = DCGANGenerator(RGB64), DCGANDiscriminator(RGB64)
    assert [len(layers(part, *BatchNorm)) for part in (generator.stem, generator.blocks, generator.output)] == [1, 3, 0]
    assert isinstance(generator.output[-1], nn.Tanh)
    parts = (discriminator.input, discriminator.blocks, discriminator.head)
    assert [len(layers(part, *BatchNorm)) for part in parts] == [0, 3, 0]


def test_activations_are_the_papers() -> None:
    assert len(layers(DCGANGenerator(RGB64), nn.ReLU)) == 4
    slopes = [layer.negative_slope for layer in layers(DCGANDiscriminator(RGB64), nn.LeakyReLU)]
    assert slopes == [0.2] * 4


def test_labels_are_ignored() -> None:
    spec = DataSpec((3, 32, 32), classes=("cat", "dog"))
    generator, discriminator = DCGANGenerator(spec, width=4), DCGANDiscriminator(spec, width=4)
    latent, labels = torch.randn(2, 100), torch.tensor([0, 1])
    torch.testing.assert_close(generator(latent, labels), generator(latent), rtol=0, atol=0)
    fake = generator(latent)
    torch.testing.assert_close(discriminator(fake, labels), discriminator(fake), rtol=0, atol=0)


def networks(**options: Any) -> Iterator[nn.Module]:
    yield DCGANGenerator(DataSpec((1, 28, 28)), width=4, **options)
    yield DCGANDiscriminator(DataSpec((1, 28, 28)), width=4, **options)


def weighted_layers(network: nn.Module) -> list[Any]:
    return layers(network, nn.Conv2d, nn.ConvTranspose2d, nn.Linear)


def test_batch_norm_takes_the_place_of_biases() -> None:
    for network in networks():
        assert all(layer.bias is None for layer in weighted_layers(network))
    for network in networks(norm="none"):
        assert not layers(network, *BatchNorm)
        assert all((layer.bias == 0).all() for layer in weighted_layers(network))


def test_sync_replaces_every_batch_norm() -> None:
    for network in networks(norm="sync"):
        assert layers(network, nn.SyncBatchNorm)
        assert not layers(network, nn.BatchNorm2d)
    assert DCGANGenerator(RGB64, width=4, norm="sync")(torch.randn(2, 100)).shape == (2, 3, 64, 64)


def test_spectral_norm_holds_every_layers_largest_singular_value_at_one() -> None:
    torch.manual_seed(0)
    for network in networks(norm="spectral"):
        assert not layers(network, *BatchNorm)
        for layer in weighted_layers(network):
            assert parametrize.is_parametrized(layer, "weight")
            for _ in range(30):
                _ = layer.weight  # while training, each look at it is one power iteration
            weight = layer.weight.detach()
            outputs_first = weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight
            assert abs(torch.linalg.matrix_norm(outputs_first.flatten(1), 2) - 1) < 0.02


def test_textbook_28x28_variant_is_a_matter_of_options() -> None:
    spec = DataSpec((1, 28, 28))
    generator = DCGANGenerator(spec, kernel_size=5, stem="dense", activation="leaky_relu", leaky_slope=0.3)
    discriminator = DCGANDiscriminator(spec, kernel_size=5, head="dense", norm="none", dropout=0.3)
    assert isinstance(generator.stem[0], nn.Linear)
    assert all(layer.kernel_size == (5, 5) for layer in layers(generator, nn.ConvTranspose2d))
    assert len(layers(discriminator, nn.Dropout)) == 2
    fake = generator(torch.randn(4, 100))
    assert not torch.equal(discriminator(fake), discriminator(fake))  # dropout is random while training
    discriminator.eval()
    torch.testing.assert_close(discriminator(fake), discriminator(fake), rtol=0, atol=0)


@pytest.mark.parametrize("make", [DCGANGenerator, DCGANDiscriminator])
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (
            (3, 32, 256),
            r"these are 32x256 \(nearest: 32x128 or 33x256\): pack them again with `ganforge data ",
        ),
        ((2,), r"these samples are points in 2 dimensions: use 'mlp'"),
    ],
)
def test_samples_it_cannot_make_are_refused_with_the_remedy(make: Any, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(DataSpec(shape))


@pytest.mark.parametrize(
    "wrong",
    [{"dropout": 1.0}, {"kernel_size": 1}, {"width": 0}, {"latent_dim": 0}, {"norm": "layer"}, {"init_std": 0.0}],
)
def test_options_outside_their_range_are_refused_before_anything_is_built(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        register.generator.get("dcgan").options(**wrong)


LABELLED = DataSpec((3, 32, 32), classes=("cat", "dog", "bird"))


@pytest.mark.parametrize("conditional", ["embedding", "norm"])
def test_a_conditional_generator_makes_another_picture_of_the_same_latent_for_each_class(conditional: Any) -> None:
    generator = DCGANGenerator(LABELLED, width=4, conditional=conditional).eval()
    for layer in layers(generator, nn.Embedding):
        nn.init.normal_(layer.weight)  # batch norm's gains and biases start alike for all classes
    latent = torch.randn(1, 100)
    made = [generator(latent, torch.tensor([label])) for label in range(3)]
    assert all((made[first] - made[second]).abs().max() > 1e-4 for first, second in ((0, 1), (0, 2), (1, 2)))


@pytest.mark.parametrize("conditional", ["embedding", "projection"])
def test_a_conditional_discriminator_judges_the_same_picture_by_the_class(conditional: Any) -> None:
    discriminator = DCGANDiscriminator(LABELLED, width=4, conditional=conditional).eval()
    picture = torch.randn(1, 3, 32, 32).expand(3, 3, 32, 32)
    logits = discriminator(picture, torch.tensor([0, 1, 2]))
    assert len(set(logits.tolist())) == 3


def test_minibatch_deviation_lets_a_logit_depend_on_the_group() -> None:
    discriminator = DCGANDiscriminator(RGB64, width=4, norm="none", minibatch_std=4)
    pictures = torch.randn(8, 3, 64, 64)
    changed = pictures.clone()
    changed[1] = -changed[1]
    moved = (discriminator(pictures) - discriminator(changed)).abs() > 0
    assert moved.tolist() == [True] * 4 + [False] * 4


@pytest.mark.parametrize(
    ("make", "conditional"),
    [(DCGANGenerator, "embedding"), (DCGANGenerator, "norm"), (DCGANDiscriminator, "projection")],
)
def test_conditional_without_labels_is_refused_with_the_remedy(make: Any, conditional: str) -> None:
    with pytest.raises(ValueError, match=rf'conditional = "{conditional}" needs labels.* set conditional = "none"'):
        make(RGB64, conditional=conditional)


def test_conditional_batch_norm_without_batch_norm_is_refused() -> None:
    with pytest.raises(ValueError, match=r'norm = "batch" or "sync", not "spectral"'):
        DCGANGenerator(LABELLED, conditional="norm", norm="spectral")
