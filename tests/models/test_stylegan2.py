"""The StyleGAN2 pair against the published networks, and what only this family promises."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganforge.models import equalised
from ganforge.models.stylegan2 import StyleGAN2Discriminator, StyleGAN2Generator
from ganforge.spec import DataSpec

CIFAR = DataSpec((3, 32, 32), tuple("abcdefghij"))
RGB256, RGB1024 = (DataSpec((3, side, side)) for side in (256, 1024))
SMALL: dict[str, Any] = {"channel_base": 256, "channel_max": 24}


def num_parameters(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def fill(state: dict[str, Tensor]) -> None:
    """Numbers of deviation 1 that depend on the names and places alone."""
    for place, (_, tensor) in enumerate(sorted(state.items())):
        hashed = (torch.arange(tensor.numel(), dtype=torch.float64) * 12.9898 + place).sin() * 43758.5453
        tensor.copy_(((hashed - hashed.floor()) * 2 - 1).view(tensor.shape) * 3**0.5)


def latents(batch: int, dim: int) -> Tensor:
    return (torch.arange(batch * dim, dtype=torch.float64) * 0.9).sin().view(batch, dim) * 1.3


def small_generator(spec: DataSpec = DataSpec((3, 32, 32)), **options: Any) -> StyleGAN2Generator:
    torch.manual_seed(0)
    return StyleGAN2Generator(spec, **{**SMALL, "latent_dim": 16, "w_dim": 24, "mapping_layers": 2, **options})


@pytest.mark.parametrize(
    ("spec", "generator", "discriminator", "counts"),
    [
        pytest.param(
            CIFAR,
            {"mapping_layers": 2, "conditional": "embedding"},
            {"architecture": "orig", "conditional": "projection"},
            (20_215_315, 23_089_664),
            id="cifar-conditional",
        ),
        pytest.param(RGB256, {"channel_base": 16384}, {"channel_base": 16384}, (24_767_458, 24_001_089), id="paper256"),
        pytest.param(RGB1024, {}, {}, (30_370_060, 29_012_513), id="paper1024"),
    ],
)
def test_parameter_counts_are_those_of_the_authors_configurations(
    spec: DataSpec, generator: dict[str, Any], discriminator: dict[str, Any], counts: tuple[int, int]
) -> None:
    with torch.device("meta"):
        networks = StyleGAN2Generator(spec, **generator), StyleGAN2Discriminator(spec, **discriminator)
    assert tuple(map(num_parameters, networks)) == counts


PUBLISHED = [
    pytest.param(
        *("skip", "resnet", False, 0.0),
        (-1.3705428371691974, 2.0780510436474326, -1.4431591253624962, 2.004015417411595),
        (2.6518603742922586, 2.6522384764434466),
        id="skip-resnet",
    ),
    pytest.param(
        *("resnet", "skip", True, 1.5),
        (-0.4073458918699268, 0.8403430675871583, -1.1065678289764147, -1.4851885156316953),
        (0.004731746886345876, 0.004620000320282445),
        id="resnet-skip-labelled-clamped",
    ),
    pytest.param(
        *("orig", "orig", False, 1.5),
        (0.44728152967282936, 0.7322140062659447, 1.2551522613673456, 0.824442349566873),
        (0.1129331512818991, 0.11293327108389928),
        id="orig-orig-clamped",
    ),
]
"""What the authors' PyTorch networks make of the same weights, in float64: mean, deviation and two pixels of two
pictures (psi 0.7, fixed noise), and the logits of a quarter of them."""


@pytest.mark.parametrize(("generator", "discriminator", "labelled", "clamp", "picture", "logits"), PUBLISHED)
@torch.no_grad()
def test_outputs_are_those_of_the_published_networks(
    generator: Any, discriminator: Any, labelled: bool, clamp: float, picture: tuple[float, ...], logits: Any
) -> None:
    spec = DataSpec((3, 32, 32), tuple("abcde") if labelled else ())
    labels = torch.tensor([3, 1]) if labelled else None
    first = small_generator(
        spec,
        architecture=generator,
        clamp=clamp,
        output="linear",
        conditional="embedding" if labelled else "none",
    ).double()
    second = StyleGAN2Discriminator(
        spec,
        **SMALL,
        architecture=discriminator,
        clamp=clamp,
        mapping_layers=2,
        minibatch_std=2,
        conditional="projection" if labelled else "none",
    ).double()
    for network in (first.eval(), second.eval()):
        fill(network.state_dict())
    first.psi = 0.7
    made = first(latents(2, 16), labels)
    figures = torch.stack((made.mean(), made.std(), made[0, 0, 0, 0], made[1, 2, 17, 30]))
    torch.testing.assert_close(figures, torch.tensor(picture, dtype=torch.float64), rtol=1e-8, atol=1e-8)
    found = second(made / 4, labels)
    torch.testing.assert_close(found, torch.tensor(logits, dtype=torch.float64), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    ("size", "start"),
    [((28, 28), (7, 7)), ((48, 64), (6, 8)), ((96, 96), (6, 6)), ((16, 64), (4, 16)), ((8, 8), (4, 4))],
)
def test_any_small_number_times_a_power_of_2_is_a_size(size: tuple[int, int], start: tuple[int, int]) -> None:
    spec = DataSpec((2, *size))
    generator, discriminator = small_generator(spec), StyleGAN2Discriminator(spec, **SMALL)
    made = generator(torch.randn(2, 16))
    assert made.shape == (2, 2, *size)
    assert generator.state_dict()["synthesis.b4.const"].shape[1:] == start
    assert discriminator(made).shape == (2,)


def test_another_format_takes_over_all_weights_but_those_of_the_smallest_map() -> None:
    """Fine-tuning from square pictures to wide ones."""
    square, wide = small_generator().state_dict(), small_generator(DataSpec((3, 32, 64))).state_dict()
    other = {name for name, tensor in wide.items() if name not in square or square[name].shape != tensor.shape}
    assert {name for name in other if "noise_const" not in name} == {"synthesis.b4.const"}


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((2,), {}, "use 'mlp'"),
        ((3, 33, 32), {}, r"33x32, of which 0 halvings leave 33x32 \(nearest: 32x32 or 36x32\)"),
        ((3, 1000, 1000), {}, r"1000x1000, of which 3 halvings leave 125x125 \(nearest: 960x960 or 1024x1024\)"),
        ((3, 64, 64), {"channel_base": 32}, r"channel_base = 32 leaves no channel on a map of 64x64"),
        ((3, 32, 32), {"conditional": "projection"}, "needs labels"),
    ],
)
@pytest.mark.parametrize("make", [StyleGAN2Generator, StyleGAN2Discriminator])
def test_what_it_cannot_make_is_refused_with_the_remedy(
    make: Any, shape: tuple[int, ...], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make(DataSpec(shape), **options)


def test_the_mean_style_follows_training_and_no_evaluation() -> None:
    generator = small_generator(w_avg_beta=0.9, mixing=0.0)
    latent = torch.randn(8, 16)
    mean = generator.mapping(latent, None, follow=False).mean(0)
    generator.eval()(latent)
    assert not generator.mapping.w_avg.any()
    generator.train()(latent)
    torch.testing.assert_close(generator.mapping.w_avg, 0.1 * mean)


def test_the_latent_that_is_mixed_in_does_not_move_the_mean_style() -> None:
    means = []
    for mixing in (0.0, 1.0):
        generator = small_generator(mixing=mixing)
        generator(torch.ones(4, 16))
        means.append(generator.mapping.w_avg)
    torch.testing.assert_close(*means, rtol=0, atol=0)


def test_psi_0_makes_one_picture_and_psi_1_what_was_learned() -> None:
    generator = small_generator().eval()
    latent = torch.randn(3, 16)
    generator(latent)
    generator.mapping.w_avg.normal_()
    learned = generator(latent)
    generator.psi = 0.0
    one = generator(latent)
    torch.testing.assert_close(one, one[:1].expand_as(one), rtol=1e-5, atol=1e-6)
    generator.psi = 1.0
    torch.testing.assert_close(generator(latent), learned, rtol=0, atol=0)


def test_mixing_gives_the_share_asked_for_the_styles_of_two_latents_from_some_layer_on() -> None:
    generator = small_generator(mixing=0.25)
    styles = generator.styles(torch.randn(4000, 16))
    is_first = (styles == styles[:, :1]).all(dim=2)
    assert abs((~is_first[:, -1]).float().mean() - 0.25) < 0.03
    assert (is_first.int().diff(dim=1) <= 0).all(), "once the second latent has begun, it stays"
    cuts = is_first[~is_first[:, -1]].sum(dim=1)
    assert set(cuts.tolist()) == set(range(1, generator.num_ws))


def test_noise_is_drawn_in_every_forward_of_training_and_fixed_afterwards() -> None:
    generator = small_generator(mixing=0.0)
    with torch.no_grad():
        for name, weight in generator.named_parameters():
            if name.endswith("noise_strength"):
                weight.fill_(1.0)
    latent = torch.randn(2, 16)
    assert not torch.equal(generator(latent), generator(latent))
    generator.eval()
    assert torch.equal(generator(latent), generator(latent))
    torch.testing.assert_close(generator(latent)[:1], generator(latent[:1]), rtol=1e-4, atol=1e-5)


def test_a_generator_without_noise_has_nothing_of_it() -> None:
    assert not [name for name in small_generator(noise=False).state_dict() if "noise" in name]


def test_a_mapping_with_a_slower_rate_starts_the_same_and_moves_less() -> None:
    moved = []
    for rate in (1.0, 0.01):
        generator = small_generator(mapping_lr=rate, mixing=0.0).eval()
        optimizer = torch.optim.Adam(generator.mapping.parameters(), lr=0.01)
        latent = torch.ones(2, 16)
        before = generator.mapping(latent, None)
        before.square().sum().backward()
        optimizer.step()
        moved.append((before.detach(), (generator.mapping(latent, None) - before).abs().mean()))
    torch.testing.assert_close(moved[0][0], moved[1][0])
    assert moved[1][1] < 0.05 * moved[0][1]


@pytest.mark.parametrize("half", ["bf16", "fp16"])
def test_half_blocks_compute_the_highest_resolutions_in_16_bits(half: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(equalised, "FULL_ON", ())
    spec = DataSpec((3, 32, 32))
    exact, rough = (small_generator(half_blocks=count, half=half, output="linear").eval() for count in (0, 2))
    first, second = (StyleGAN2Discriminator(spec, **SMALL, half_blocks=count, half=half) for count in (0, 2))
    second.load_state_dict(first.state_dict())
    types: dict[str, torch.dtype] = {}

    def note(name: str, module: nn.Module, inputs: object, output: Tensor) -> None:
        types[name] = output.dtype

    for network in (rough.synthesis, second):
        for name, block in network.named_children():
            if isinstance(inner := getattr(block, "conv1", None), nn.Module):
                inner.register_forward_hook(partial(note, name))
        latent = torch.randn(4, 16)
        rough(latent) if network is rough.synthesis else second(exact(latent))
        low = torch.bfloat16 if half == "bf16" else torch.float16
        assert {name for name, dtype in types.items() if dtype == low} == {"b16", "b32"}
        types.clear()
    assert (exact(latent) - rough(latent)).abs().mean() < 0.02 * exact(latent).abs().mean()
    samples = exact(latent).detach().requires_grad_()
    logits = second(samples)
    assert logits.dtype == torch.float32
    assert (logits - first(samples)).abs().max() < 0.05
    (slope,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
    slope.square().sum().backward()
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in second.parameters())


def test_half_blocks_are_whole_on_a_cpu() -> None:
    exact, other = (small_generator(half_blocks=count).eval() for count in (0, 2))
    latent = torch.randn(2, 16)
    torch.testing.assert_close(exact(latent), other(latent), rtol=0, atol=0)


def test_large_weights_do_not_overflow_float16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights of the published networks reach hundreds; demodulation makes their size of no account."""
    monkeypatch.setattr(equalised, "FULL_ON", ())
    generator = small_generator(half_blocks=3, half="fp16", mixing=0.0)
    with torch.no_grad():
        for name, weight in generator.named_parameters():
            if name.endswith(("conv0.weight", "conv1.weight")):
                weight.mul_(1e5)
    assert generator(torch.randn(2, 16)).isfinite().all()


def test_a_generator_exports_for_any_batch() -> None:
    generator = small_generator(DataSpec((3, 16, 24), ("a", "b")), conditional="embedding").eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    labels = torch.tensor([0, 1])
    program = torch.export.export(generator, (torch.randn(2, 16), labels), dynamic_shapes=({0: batch}, {0: batch}))
    latent, labels = torch.randn(5, 16), torch.tensor([0, 1, 1, 0, 1])
    torch.testing.assert_close(program.module()(latent, labels), generator(latent, labels), rtol=1e-5, atol=1e-5)
