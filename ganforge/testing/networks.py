"""Generators and discriminators: what training relies on, in every precision that it uses."""

import copy

import pytest
import torch
from torch import Tensor, nn

from ganforge.game.networks import latent_dim_of, latent_distribution_of
from ganforge.registry import Component
from ganforge.spec import DataSpec
from ganforge.testing.small import BATCH, build, given, is_translator, labels, samples

every_generator = pytest.mark.ganforge_components("generator")
every_discriminator = pytest.mark.ganforge_components("discriminator")


@every_generator
def test_generator_gives_samples_of_the_spec_and_gradients_to_every_weight(
    component: Component, spec: DataSpec
) -> None:
    generator = build(component, spec)
    fake = generator(given(component, generator, spec), labels(spec))
    assert fake.shape == (BATCH, *spec.shape)
    if spec.is_image:
        assert fake.abs().max() <= 1, "pictures are in [-1, 1]"
    # Not just the sum: an output normalised to zero mean would have no gradient.
    (fake * samples(spec)).sum().backward()
    without = [name for name, weight in generator.named_parameters() if weight.grad is None]
    assert without == [], "no gradient reaches these; DDP would refuse to train them"
    assert any(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in generator.parameters())
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in generator.parameters())


@every_generator
def test_generator_says_what_it_is_given(component: Component, spec: DataSpec) -> None:
    generator = build(component, spec)
    if is_translator(component):
        assert getattr(generator, "divides", 1) >= 1
        return
    assert latent_dim_of(generator) > 0
    assert latent_distribution_of(generator) in ("normal", "uniform")


@every_generator
def test_different_inputs_make_different_samples(component: Component, spec: DataSpec) -> None:
    generator = build(component, spec)
    one_class = labels(DataSpec(spec.shape, ("one",) * bool(spec.classes)))
    with torch.no_grad():
        fake = generator(given(component, generator, spec), one_class).flatten(1)
    assert (torch.cdist(fake, fake) + torch.eye(BATCH)).min() > 0


@every_discriminator
def test_discriminator_gives_one_logit_a_sample_and_gradients_to_weights_and_samples(
    component: Component, spec: DataSpec
) -> None:
    discriminator = build(component, spec)
    real = samples(spec).requires_grad_()
    logits = discriminator(real, labels(spec))
    assert logits.shape == (BATCH,)
    logits.square().sum().backward()
    assert real.grad is not None
    assert (real.grad.flatten(1).norm(dim=1) > 0).all(), "the generator would learn nothing"
    without = [name for name, weight in discriminator.named_parameters() if weight.grad is None]
    assert without == [], "no gradient reaches these; DDP would refuse to train them"


@every_discriminator
def test_discriminator_takes_a_batch_of_one(component: Component, spec: DataSpec) -> None:
    discriminator = build(component, spec).eval()
    assert discriminator(samples(spec, batch=1), labels(spec, batch=1)).shape == (1,)


@every_discriminator
def test_logits_are_logits_and_not_probabilities(component: Component, spec: DataSpec) -> None:
    discriminator = build(component, spec)
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=0.05)
    lowest = float("inf")
    for _ in range(60):
        logits = discriminator(samples(spec), labels(spec))
        lowest = min(lowest, logits.max().item())
        if lowest < 0:
            break
        optimizer.zero_grad()
        logits.sum().backward()
        optimizer.step()
    assert lowest < 0, "nothing brings them below 0: is there a sigmoid at the end?"


@every_discriminator
def test_gradient_of_a_gradient_reaches_the_weights(component: Component, spec: DataSpec) -> None:
    """Gradient penalties differentiate twice."""
    discriminator = build(component, spec)
    real = samples(spec).requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(real, labels(spec)).sum(), real, create_graph=True)
    gradient.square().sum().backward()
    grads = [weight.grad for weight in discriminator.parameters() if weight.grad is not None]
    assert any(grad.abs().sum() > 0 for grad in grads)
    assert all(grad.isfinite().all() for grad in grads)


@every_generator
def test_generator_computes_in_float64_and_under_bf16_near_float32(component: Component, spec: DataSpec) -> None:
    generator = build(component, spec)
    latent = given(component, generator, spec)
    exact = _same_draws(generator, latent, labels(spec))
    with torch.autocast("cpu", torch.bfloat16):
        fake = _same_draws(generator, latent, labels(spec)).float()
    fake.square().sum().backward()
    assert (fake - exact).abs().mean() < 0.05 * exact.abs().mean() + 0.01
    double = _same_draws(generator.double(), latent.double(), labels(spec))
    assert double.dtype == torch.float64
    assert (double - exact).abs().mean() < 1e-3 * exact.abs().mean() + 1e-5


@every_discriminator
def test_discriminator_computes_in_float64_and_under_bf16_near_float32(component: Component, spec: DataSpec) -> None:
    discriminator = build(component, spec)
    real = samples(spec)
    with torch.autocast("cpu", torch.bfloat16):
        rough = discriminator(real, labels(spec)).float()
    rough.sum().backward()
    discriminator = build(component, spec)  # spectral norm's power iteration advances with every forward
    exact = discriminator(real, labels(spec))
    assert (rough - exact).abs().mean() < 0.1 * exact.abs().mean() + 0.05
    double = build(component, spec).double()(real.double(), labels(spec))
    assert double.dtype == torch.float64
    assert (double - exact).abs().mean() < 1e-3 * exact.abs().mean() + 1e-5


@every_generator
def test_a_saved_generator_comes_back_the_same(component: Component, spec: DataSpec) -> None:
    first = build(component, spec)
    latent = given(component, first, spec)
    first(latent, labels(spec))  # so that running statistics differ from their initial values
    second = build(component, spec, seed=1)
    second.load_state_dict(first.state_dict())
    _assert_same(first.eval()(latent, labels(spec)), second.eval()(latent, labels(spec)))


@every_discriminator
def test_a_saved_discriminator_comes_back_the_same(component: Component, spec: DataSpec) -> None:
    first = build(component, spec)
    real = samples(spec)
    first(real, labels(spec))
    second = build(component, spec, seed=1)
    second.load_state_dict(first.state_dict())
    _assert_same(first.eval()(real, labels(spec)), second.eval()(real, labels(spec)))


@pytest.mark.ganforge_components("generator", "discriminator")
def test_a_copy_is_the_same_and_its_own(component: Component, spec: DataSpec) -> None:
    """The averaged generator is a deep copy."""
    first = build(component, spec).eval()
    seen = given(component, first, spec) if component.kind == "generator" else samples(spec)
    second = copy.deepcopy(first)
    before = first(seen, labels(spec))
    _assert_same(before, second(seen, labels(spec)))
    with torch.no_grad():
        for weight in second.parameters():
            weight.add_(torch.linspace(0.5, 1, weight.numel(), dtype=weight.dtype).view_as(weight))
    _assert_same(before, first(seen, labels(spec)))
    assert not torch.equal(before, second(seen, labels(spec)))


@pytest.mark.ganforge_components("generator", "discriminator")
def test_channels_last_changes_the_speed_only(component: Component, spec: DataSpec) -> None:
    results = []
    for layout in (torch.contiguous_format, torch.channels_last):
        network = build(component, spec).double()
        seen = (
            given(component, network, spec, torch.float64)
            if component.kind == "generator"
            else samples(spec, torch.float64)
        )
        if seen.dim() == 4:
            seen = seen.to(memory_format=layout)
        results.append(network.to(memory_format=layout)(seen, labels(spec)))
    torch.testing.assert_close(*results)


def _same_draws(generator: nn.Module, latent: Tensor, classes: Tensor | None) -> Tensor:
    """Samples of a generator that may draw noise of its own: the same each time."""
    torch.manual_seed(1)
    return generator(latent, classes)


def _assert_same(first: Tensor, second: Tensor) -> None:
    torch.testing.assert_close(first, second, rtol=0, atol=0)
