"""The small layers, each against its formula in float64 or against a property that only the right one has."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ganforge.models.attention import SelfAttention
from ganforge.models.conditioning import (
    ConditionalBatchNorm,
    LabelledLatent,
    LabelledSamples,
    LabelledSequential,
    Projection,
)
from ganforge.models.layers import LayerStyle
from ganforge.models.minibatch import MinibatchDeviation
from ganforge.models.resampling import BlurDownsample, BlurUpsample
from ganforge.spec import DataSpec

PLAIN = LayerStyle("none", "relu", 0.0)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


# --- minibatch standard deviation --------------------------------------------------------------


def test_the_deviation_is_the_mean_over_features_of_the_deviation_over_the_group() -> None:
    features = random(6, 5, 3, 2)
    seen = MinibatchDeviation(3)(features)
    torch.testing.assert_close(seen[:, :5], features, rtol=0, atol=0)
    for start in (0, 3):
        expected = (features[start : start + 3].var(dim=0, correction=0) + 1e-8).sqrt().mean()
        torch.testing.assert_close(seen[start : start + 3, 5], expected.expand(3, 3, 2))


def test_a_generator_that_makes_one_picture_is_told_by_a_deviation_of_nearly_zero_and_a_finite_gradient() -> None:
    same = random(1, 4).expand(8, 4).clone().requires_grad_()
    number = MinibatchDeviation(8)(same)[:, -1]
    torch.testing.assert_close(number, torch.full_like(number, 1e-4))
    (gradient,) = torch.autograd.grad(number.sum(), same, create_graph=True)
    assert gradient.isfinite().all()
    assert torch.autograd.grad(gradient.sum(), same)[0].isfinite().all()


@pytest.mark.parametrize(
    ("batch", "groups"),
    [
        (8, [(0, 4)] * 4 + [(4, 8)] * 4),
        (6, [(0, 4)] * 4 + [(2, 6)] * 2),
        (7, [(0, 4)] * 4 + [(3, 7)] * 3),
        (3, [(0, 3)] * 3),
        (1, [(0, 1)]),
    ],
)
def test_every_sample_is_told_of_a_group_even_where_groups_do_not_divide_the_batch(
    batch: int, groups: list[tuple[int, int]]
) -> None:
    features = random(batch, 3)
    expected = [(features[first:end].var(dim=0, correction=0) + 1e-8).sqrt().mean() for first, end in groups]
    torch.testing.assert_close(MinibatchDeviation(4)(features)[:, 3], torch.stack(expected))


def test_a_group_of_one_which_would_do_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="minibatch_std = 1: one sample differs from nothing; use 2 or more, or 0"):
        MinibatchDeviation(1)


def test_other_groups_do_not_matter() -> None:
    features = random(8, 3)
    changed = features.clone()
    changed[4:] *= 7
    torch.testing.assert_close(MinibatchDeviation(4)(features)[:4], MinibatchDeviation(4)(changed)[:4], rtol=0, atol=0)


def test_half_precision_deviates_as_float32_does() -> None:
    features = 100 + random(4, 64).float()  # whose squares bfloat16 cannot tell apart
    exact = MinibatchDeviation(4)(features.bfloat16().float())[:, -1]
    torch.testing.assert_close(MinibatchDeviation(4)(features.bfloat16())[:, -1].float(), exact, rtol=1e-2, atol=0)


# --- self-attention ----------------------------------------------------------------------------


def test_attention_changes_nothing_at_first() -> None:
    features = random(2, 16, 8, 8)
    torch.testing.assert_close(SelfAttention(16, PLAIN).double()(features), features, rtol=0, atol=0)


def test_attention_is_the_softmax_of_products_over_all_positions() -> None:
    layer = SelfAttention(16, PLAIN).double()
    nn.init.constant_(layer.weight, 0.5)
    features = random(2, 16, 4, 4)
    query, key = layer.query(features), functional.max_pool2d(layer.key(features), 2)
    value = functional.max_pool2d(layer.value(features), 2)
    mixed = torch.zeros(2, 8, 4, 4, dtype=torch.float64)
    for row in range(4):
        for column in range(4):
            scores = torch.einsum("bc,bchw->bhw", query[:, :, row, column], key)
            shares = scores.exp() / scores.exp().sum(dim=(1, 2), keepdim=True)
            mixed[:, :, row, column] = torch.einsum("bhw,bchw->bc", shares, value)
    torch.testing.assert_close(layer(features), features + 0.5 * layer.output(mixed))


def test_attention_reaches_across_the_whole_map_and_differentiates_twice() -> None:
    layer: Any = SelfAttention(8, PLAIN).double()
    nn.init.ones_(layer.weight)
    features = random(1, 8, 4, 4).requires_grad_()
    (gradient,) = torch.autograd.grad(layer(features)[0, :, 0, 0].sum(), features, create_graph=True)
    assert gradient[0, :, 3, 3].abs().sum() + gradient[0, :, 2, 3].abs().sum() > 0
    gradient.square().sum().backward()
    assert layer.query.weight.grad is not None
    assert layer.query.weight.grad.abs().sum() > 0


# --- conditioning ------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (3, 2)])
def test_conditional_batch_norm_is_one_normalisation_and_a_gain_and_bias_a_class(shape: tuple[int, ...]) -> None:
    plain = nn.BatchNorm2d(4, affine=False) if shape else nn.BatchNorm1d(4, affine=False)
    layer = ConditionalBatchNorm(plain.double(), 4, 3).double()
    features, labels = random(8, 4, *shape), torch.arange(8) % 3
    dims = (0, 2, 3) if shape else (0,)
    mean, deviation = features.mean(dims, keepdim=True), features.var(dims, correction=0, keepdim=True).add(1e-5).sqrt()
    normalised = (features - mean) / deviation
    torch.testing.assert_close(layer(features, labels), normalised)  # every class starts with gain 1 and bias 0
    nn.init.normal_(layer.gain.weight)
    nn.init.normal_(layer.bias.weight)
    broadcast = (8, 4, *(1 for _ in shape))
    expected = layer.gain.weight[labels].view(broadcast) * normalised + layer.bias.weight[labels].view(broadcast)
    torch.testing.assert_close(layer(features, labels), expected)


def test_labels_reach_nested_layers_that_take_them_and_no_others() -> None:
    inner = ConditionalBatchNorm(nn.BatchNorm1d(4, affine=False), 4, 2)
    nn.init.constant_(inner.bias.weight[1], 5.0)  # type: ignore[arg-type]
    network = LabelledSequential(nn.Linear(3, 4), LabelledSequential(inner, nn.Identity())).eval()
    features = torch.randn(1, 3)
    difference = network(features, torch.tensor([1])) - network(features, torch.tensor([0]))
    torch.testing.assert_close(difference, torch.full((1, 4), 5.0))
    with pytest.raises(ValueError, match="call it with labels"):
        network(features)


def test_projection_adds_the_inner_product_of_class_and_features_at_every_position() -> None:
    layer = Projection(3, 5).double()
    labels = torch.tensor([2, 0])
    features, maps = random(2, 5), random(2, 5, 4, 3)
    vectors = layer.classes.weight[labels]
    torch.testing.assert_close(layer(features, labels), (vectors * features).sum(dim=1))
    torch.testing.assert_close(layer(maps, labels), (vectors[:, :, None, None] * maps).sum(dim=1))


def test_projection_under_spectral_norm_has_a_table_of_norm_one() -> None:
    layer = Projection(10, 5, spectral_norm=True)
    for _ in range(50):
        _ = layer.classes.weight
    assert abs(torch.linalg.matrix_norm(layer.classes.weight.detach(), 2) - 1) < 0.01


def test_a_labelled_latent_begins_with_the_latent_and_ends_with_its_class() -> None:
    layer = LabelledLatent(3, 2).double()
    latent, labels = random(4, 7), torch.tensor([0, 1, 1, 2])
    seen = layer(latent, labels)
    torch.testing.assert_close(seen[:, :7], latent, rtol=0, atol=0)
    torch.testing.assert_close(seen[1, 7:], seen[2, 7:])
    assert not torch.equal(seen[0, 7:], seen[1, 7:])


@pytest.mark.parametrize(("shape", "seen"), [((3, 4, 6), (4, 4, 6)), ((2,), (5,))])
def test_labelled_samples_have_a_map_more_or_as_many_numbers_as_classes(
    shape: tuple[int, ...], seen: tuple[int, ...]
) -> None:
    layer = LabelledSamples(3, DataSpec(shape, ("a", "b", "c"))).double()
    samples = random(4, *shape)
    labelled = layer(samples, torch.tensor([0, 1, 2, 0]))
    assert labelled.shape[1:] == seen
    torch.testing.assert_close(labelled[:, : shape[0]], samples, rtol=0, atol=0)
    torch.testing.assert_close(labelled[0, shape[0] :], labelled[3, shape[0] :], rtol=0, atol=0)


# --- low-pass resampling -----------------------------------------------------------------------


def test_doubling_is_bilinear_interpolation_away_from_the_edge() -> None:
    maps = random(2, 3, 6, 5)
    bilinear = functional.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)
    doubled = BlurUpsample().double()(maps)
    assert doubled.shape == (2, 3, 12, 10)
    torch.testing.assert_close(doubled[:, :, 1:-1, 1:-1], bilinear[:, :, 1:-1, 1:-1])


def test_halving_is_the_adjoint_of_doubling() -> None:
    small, large = random(1, 2, 4, 4), random(1, 2, 8, 8)
    up, down = BlurUpsample().double(), BlurDownsample().double()
    torch.testing.assert_close((up(small) * large).sum() / 4, (small * down(large)).sum())


def test_halving_keeps_what_is_flat_and_removes_what_would_alias() -> None:
    down = BlurDownsample().double()
    flat = torch.ones(1, 1, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(down(flat)[..., 1:-1, 1:-1], flat[..., 1:3, 1:3])
    stripes = flat * torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(4)
    assert down(stripes)[..., 1:-1, 1:-1].abs().max() < 1e-15
    assert functional.interpolate(stripes, scale_factor=0.5).abs().max() == 1  # every other pixel alone sees a plain


def test_the_filter_is_no_part_of_saved_weights() -> None:
    assert not BlurUpsample().state_dict()
    assert math.isclose(BlurDownsample().kernel.sum().item(), 1.0)
