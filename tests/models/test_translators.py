"""Translators: the papers' sizes, any picture size, and sources that are smaller than targets."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn

from ganforge.errors import RecipeError
from ganforge.registry import register
from ganforge.spec import DataSpec

RGB = DataSpec((3, 256, 256))
GREY = DataSpec((1, 32, 32))


def translator(name: str, spec: DataSpec = GREY, source: DataSpec = GREY, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    return register.generator.make(name, spec, source, **options).eval()


def weights(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def test_weights_are_as_many_as_the_papers() -> None:
    with torch.device("meta"):
        before_a_norm = 64 + 128 + 256 + 18 * 256 + 128 + 64
        assert weights(translator("resnet_translator", RGB, RGB, up="transposed")) == 11_378_179 - before_a_norm
        unet = weights(translator("unet_translator", RGB, RGB, up="transposed", norm="batch"))
        assert unet == pytest.approx(54.41e6, rel=1e-3)
        joined = DataSpec((6, 256, 256))
        patch = {"depth": 3, "wide": 2, "decoder": False, "judge": "patches", "norm": "batch"}
        assert weights(register.discriminator.make("unet_patch", joined, **patch)) == pytest.approx(2.769e6, rel=1e-3)


@pytest.mark.parametrize(("wide", "width", "count"), [(0, 22, 32), (1, 46, 31), (2, 70, 30)])
def test_a_wide_patch_is_as_wide_as_documented(wide: int, width: int, count: int) -> None:
    options = {"depth": 3, "wide": wide, "decoder": False, "judge": "patches", "norm": "none", "width": 2}
    network = register.discriminator.make("unet_patch", RGB, **options).double()
    pictures = torch.randn(1, 3, 256, 256, dtype=torch.float64, requires_grad=True)
    logits = network(pictures)
    assert logits.shape == (1, count**2)
    (gradient,) = torch.autograd.grad(logits[0, count // 2 * count + count // 2], pictures)
    rows = gradient[0].abs().sum(dim=(0, 2)).nonzero().flatten()
    assert int(rows.max() - rows.min()) + 1 == width


@pytest.mark.parametrize("up", ["nearest", "transposed"])
@pytest.mark.parametrize(
    ("name", "options", "divides"),
    [("resnet_translator", {"width": 4, "blocks": 1}, 4), ("unet_translator", {"width": 4, "depth": 3}, 8)],
)
def test_any_sides_that_divide_are_translated(name: str, options: dict[str, Any], divides: int, up: str) -> None:
    network = translator(name, up=up, **options)
    assert network.divides == divides
    for height, width in ((16, 24), (40, 16)):
        assert network(torch.zeros(2, 1, height, width), None).shape == (2, 1, height, width)


def test_a_smaller_source_is_enlarged_and_divides_by_less() -> None:
    network = translator("unet_translator", GREY, DataSpec((3, 8, 8)), width=4, depth=3)
    assert network.divides == 2
    assert network(torch.zeros(1, 3, 6, 10), None).shape == (1, 1, 24, 40)


def test_the_innermost_map_has_no_norm_so_a_single_position_is_no_mistake() -> None:
    """Instance norm refuses a map of one position, in evaluation as well."""
    network = translator("unet_translator", width=2, depth=5).train()
    assert network(torch.rand(1, 1, 32, 32), None).isfinite().all()


def test_no_bias_stands_before_a_norm_that_takes_it_away() -> None:
    """Its gradient is a rounding error, of which Adam makes whole steps: two ranks would not train what one does."""
    for network in (
        translator("resnet_translator", width=4, blocks=1),
        translator("unet_translator", width=4, depth=3),
    ):
        leaves = [module for module in network.modules() if not list(module.children())]
        for layer, following in pairwise(leaves):
            if isinstance(following, nn.InstanceNorm2d):
                assert layer.bias is None


@pytest.mark.parametrize(
    ("name", "spec", "source", "words"),
    [
        ("unet_translator", DataSpec((1, 48, 48)), DataSpec((1, 48, 48)), "choose 4 or less"),
        ("resnet_translator", DataSpec((1, 30, 30)), DataSpec((1, 30, 30)), "choose fewer halvings"),
        ("resnet_translator", GREY, DataSpec((1, 12, 12)), "a whole number of times larger"),
        ("resnet_translator", DataSpec((2,)), DataSpec((2,)), "makes pictures of pictures"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_with_those_that_do(
    name: str, spec: DataSpec, source: DataSpec, words: str
) -> None:
    with pytest.raises(RecipeError, match=words):
        translator(name, spec, source)


def test_a_decoder_and_wide_patches_do_not_go_together() -> None:
    with pytest.raises(RecipeError, match="decoder = false"):
        register.discriminator.make("unet_patch", GREY, wide=1)


@pytest.mark.parametrize(
    ("name", "options"),
    [("resnet_translator", {"width": 4, "blocks": 1}), ("unet_translator", {"width": 4, "depth": 3})],
)
def test_maps_lie_over_each_other_so_nothing_moves(name: str, options: dict[str, Any]) -> None:
    """The mirrored network makes the mirrored picture; else a game without pairs moves its pictures to one side."""
    network, mirrored = translator(name, **options), translator(name, **options)
    with torch.no_grad():
        for weight in mirrored.parameters():
            weight.copy_(weight.flip(-1) if weight.dim() == 4 else weight)
    seen = torch.rand(1, 1, 32, 32)
    torch.testing.assert_close(mirrored(seen.flip(-1)).flip(-1), network(seen), atol=1e-5, rtol=1e-4)
