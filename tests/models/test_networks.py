"""Every registered generator and discriminator, built-in or not, keeps the contract that training relies on."""

import contextlib
import copy
import itertools
import json
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ganforge.options import validate
from ganforge.registry import Component, register
from ganforge.spec import DataSpec

SPECS = (
    DataSpec((2,)),
    DataSpec((1, 28, 28)),
    DataSpec((3, 32, 32)),
    DataSpec((3, 32, 32), classes=("cat", "dog")),
)
BATCH = 6
VARIANTS = {
    "dcgan": (
        {"conditional": "embedding"},
        {"conditional": "norm"},
        {"conditional": "projection"},
        {"minibatch_std": 3},
    ),
    "mlp": ({"conditional": "embedding"}, {"conditional": "norm", "norm": "batch"}, {"conditional": "projection"}),
    "resnet": (
        {"conditional": "norm", "attention": 16, "spectral_norm": True},
        {"conditional": "projection", "attention": 16, "minibatch_std": 3, "resample": "blur"},
    ),
    "r3gan": ({"conditional": "embedding", "output": "tanh"}, {"conditional": "projection"}),
    "stylegan2": (
        {"conditional": "embedding", "architecture": "resnet"},
        {"conditional": "projection", "architecture": "skip"},
    ),
    "unet_patch": ({"conditional": "projection", "norm": "batch"}, {"decoder": False, "conditional": "embedding"}),
}
"""Options of built-in families that make another network: they keep the same contract, on samples with labels."""


@dataclass(frozen=True)
class Variant:
    """A registered network under options that are not the default. Stands for its component in the tests."""

    component: Component
    changed: dict[str, Any]

    @property
    def name(self) -> str:
        return "-".join([self.component.name, *map(str, self.changed.values())])


def build(component: Component | Variant, spec: DataSpec, seed: int = 0) -> nn.Module:
    """Narrow where the component lets us, so that the tests are fast."""
    changed = component.changed if isinstance(component, Variant) else {}
    component = component.component if isinstance(component, Variant) else component
    narrow = {"width": 8, "channel_max": 8, "w_dim": 16}
    small = {name: size for name, size in narrow.items() if name in component.options.model_fields}
    torch.manual_seed(seed)
    return component.build(component.options(**small, **changed), spec=spec)


def variants(component: Component) -> list[Variant]:
    """Those of its kind: a generator has no projection and a discriminator no conditional batch norm."""
    found = []
    for changed in VARIANTS.get(component.name, ()):
        _, problems = validate(component.options, changed, (component.kind,))
        if not problems:
            found.append(Variant(component, changed))
    return found


def supports(component: Component | Variant, spec: DataSpec) -> bool:
    try:
        build(component, spec)
    except ValueError:
        return False
    return True


def cases(kind: str) -> list[Any]:
    # Translators, which are given pictures, have tests of their own (test_translators.py).
    components = [part for part in register.kind(kind).loaded() if "source" not in part.supplied]
    pairs = [(part, spec) for part, spec in itertools.product(components, SPECS) if supports(part, spec)]
    pairs += [(variant, SPECS[-1]) for component in components for variant in variants(component)]
    return [pytest.param(part, spec, id=f"{part.name}-{spec}".replace(" ", "-")) for part, spec in pairs]


def latents(generator: nn.Module, dtype: torch.dtype = torch.float32) -> Tensor:
    latent_dim = generator.latent_dim
    assert isinstance(latent_dim, int)
    return torch.randn(BATCH, latent_dim, dtype=dtype)


def samples(spec: DataSpec, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(BATCH, *spec.shape, dtype=dtype) * 2 - 1


def labels(spec: DataSpec) -> Tensor | None:
    return torch.arange(BATCH) % spec.num_classes if spec.classes else None


def needs_labels(component: Component | Variant) -> Any:
    """Expects the error of a conditional network that is called without labels, and nothing of any other."""
    is_conditional = isinstance(component, Variant) and "conditional" in component.changed
    return pytest.raises(ValueError, match="call it with labels") if is_conditional else contextlib.nullcontext()


every_generator = pytest.mark.parametrize(("component", "spec"), cases("generator"))
every_discriminator = pytest.mark.parametrize(("component", "spec"), cases("discriminator"))
both_kinds = pytest.mark.parametrize(
    "component",
    [
        part
        for kind in ("generator", "discriminator")
        for part in register.kind(kind).loaded()
        if "source" not in part.supplied
    ],
)


@both_kinds
def test_a_component_that_fits_none_of_the_usual_samples_cannot_be_trusted(component: Component) -> None:
    assert any(supports(component, spec) for spec in SPECS)


@both_kinds
def test_documentation_names_a_source_and_every_option(component: Component) -> None:
    assert component.summary.endswith(".")
    assert any(character.isdigit() for character in component.summary)
    assert set(component.option_docs) >= set(component.options.model_fields)
    assert all(component.option_docs[name] for name in component.options.model_fields)


@both_kinds
def test_options_survive_a_recipe(component: Component) -> None:
    defaults = component.options()
    table = json.loads(defaults.model_dump_json(exclude_none=True))
    assert validate(component.options, table, (component.kind,)) == (defaults, [])


@every_generator
def test_generator_gives_samples_of_the_spec_and_gradients_to_every_weight(
    component: Component | Variant, spec: DataSpec
) -> None:
    generator = build(component, spec)
    fake = generator(latents(generator), labels(spec))
    assert fake.shape == (BATCH, *spec.shape)
    if spec.is_image:
        assert fake.abs().max() <= 1
    seen = {name: False for name, _ in generator.named_parameters()}
    optimizer = torch.optim.SGD(generator.parameters(), 0.1)
    for _ in range(2):  # a residual branch that starts at 0 passes gradients on only once it has left it
        optimizer.zero_grad()
        generator(latents(generator), labels(spec)).square().mean().backward()
        for name, weight in generator.named_parameters():
            seen[name] |= weight.grad is not None and bool(weight.grad.abs().sum() > 0)
        optimizer.step()
    assert all(seen.values()), [name for name, has_gradient in seen.items() if not has_gradient]


@every_generator
def test_generator_says_what_its_latents_are(component: Component | Variant, spec: DataSpec) -> None:
    generator = build(component, spec)
    assert isinstance(generator.latent_dim, int)
    assert getattr(generator, "latent_distribution", "normal") in ("normal", "uniform")


@every_generator
def test_generator_works_without_labels_or_says_that_it_needs_them(
    component: Component | Variant, spec: DataSpec
) -> None:
    generator = build(component, spec)
    with needs_labels(component):
        assert generator(latents(generator)).shape == (BATCH, *spec.shape)


@every_generator
def test_different_latents_make_different_samples(component: Component | Variant, spec: DataSpec) -> None:
    generator = build(component, spec)
    fake = generator(latents(generator), labels(spec)).flatten(1)
    distances = torch.cdist(fake, fake)
    assert (distances + torch.eye(BATCH)).min() > 0


@every_discriminator
def test_discriminator_gives_one_logit_a_sample_and_gradients_to_weights_and_samples(
    component: Component | Variant, spec: DataSpec
) -> None:
    discriminator = build(component, spec)
    real = samples(spec).requires_grad_()
    logits = discriminator(real, labels(spec))
    assert logits.shape == (BATCH,)
    logits.square().sum().backward()
    assert real.grad is not None
    assert (real.grad.flatten(1).norm(dim=1) > 0).all()
    assert all(weight.grad is not None for weight in discriminator.parameters())


@every_discriminator
def test_discriminator_works_without_labels_or_says_that_it_needs_them(
    component: Component | Variant, spec: DataSpec
) -> None:
    discriminator = build(component, spec).eval()
    with needs_labels(component):
        assert discriminator(samples(spec)).shape == (BATCH,)


@every_discriminator
def test_discriminator_works_with_a_batch_of_one(component: Component | Variant, spec: DataSpec) -> None:
    discriminator = build(component, spec).eval()
    first = None if labels(spec) is None else labels(spec)[:1]  # type: ignore[index]
    assert discriminator(samples(spec)[:1], first).shape == (1,)


@every_discriminator
def test_logits_are_logits_and_not_probabilities(component: Component | Variant, spec: DataSpec) -> None:
    discriminator = build(component, spec)
    weights = [weight for weight in discriminator.parameters() if weight.ndim > 1]
    with torch.no_grad():
        weights[-1].mul_(1e3)
    logits = discriminator(samples(spec), labels(spec))
    assert logits.min() < 0 or logits.max() > 1


@every_discriminator
def test_gradient_of_a_gradient_reaches_the_weights(component: Component | Variant, spec: DataSpec) -> None:
    discriminator = build(component, spec)
    real = samples(spec).requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(real, labels(spec)).sum(), real, create_graph=True)
    gradient.square().sum().backward()
    grads = [weight.grad for weight in discriminator.parameters()]
    assert any(grad is not None and grad.abs().sum() > 0 for grad in grads)
    assert all(grad.isfinite().all() for grad in grads if grad is not None)


@every_generator
def test_generator_computes_in_float64_when_asked_to(component: Component | Variant, spec: DataSpec) -> None:
    generator = build(component, spec).double()
    assert generator(latents(generator, torch.float64), labels(spec)).dtype == torch.float64


@every_discriminator
def test_discriminator_computes_in_float64_when_asked_to(component: Component | Variant, spec: DataSpec) -> None:
    discriminator = build(component, spec).double()
    assert discriminator(samples(spec, torch.float64), labels(spec)).dtype == torch.float64


@every_generator
def test_generator_under_bf16_autocast_is_near_float32(component: Component | Variant, spec: DataSpec) -> None:
    generator = build(component, spec)
    latent = latents(generator)
    torch.manual_seed(1)  # a generator may draw noise of its own
    exact = generator(latent, labels(spec))
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        fake = generator(latent, labels(spec))
    fake.float().square().sum().backward()
    assert (fake.float() - exact).abs().mean() < 0.05 * exact.abs().mean() + 0.01


@every_discriminator
def test_discriminator_under_bf16_autocast_is_near_float32(component: Component | Variant, spec: DataSpec) -> None:
    discriminator = build(component, spec)
    real = samples(spec)
    exact = discriminator(real, labels(spec))
    with torch.autocast("cpu", torch.bfloat16):
        logits = discriminator(real, labels(spec))
    logits.float().sum().backward()
    assert (logits.float() - exact).abs().mean() < 0.1 * exact.abs().mean() + 0.05


@every_generator
def test_a_saved_generator_comes_back_the_same(component: Component | Variant, spec: DataSpec) -> None:
    first = build(component, spec)
    first(latents(first), labels(spec))  # so that running statistics are not at their start
    second = build(component, spec, seed=1)
    second.load_state_dict(first.state_dict())
    latent = latents(first)
    first, second = first.eval(), second.eval()
    torch.testing.assert_close(first(latent, labels(spec)), second(latent, labels(spec)), rtol=0, atol=0)


@every_discriminator
def test_a_copied_discriminator_is_the_same_and_its_own(component: Component | Variant, spec: DataSpec) -> None:
    first = build(component, spec).eval()
    second = copy.deepcopy(first)
    real = samples(spec)
    torch.testing.assert_close(first(real, labels(spec)), second(real, labels(spec)), rtol=0, atol=0)
    with torch.no_grad():
        for weight in second.parameters():
            weight.add_(1)
    assert not torch.equal(first(real, labels(spec)), second(real, labels(spec)))


@every_generator
def test_channels_last_changes_the_generators_speed_only(component: Component | Variant, spec: DataSpec) -> None:
    generator = build(component, spec).double().eval()
    latent = latents(generator, torch.float64)
    before = generator(latent, labels(spec))
    after = generator.to(memory_format=torch.channels_last)(latent, labels(spec))
    torch.testing.assert_close(before, after)


@every_discriminator
def test_channels_last_changes_the_discriminators_speed_only(component: Component | Variant, spec: DataSpec) -> None:
    discriminator = build(component, spec).double().eval()  # while training, spectral norm moves with each forward
    real = samples(spec, torch.float64)
    before = discriminator(real, labels(spec))
    if spec.is_image:
        real = real.to(memory_format=torch.channels_last)
    after = discriminator.to(memory_format=torch.channels_last)(real, labels(spec))
    torch.testing.assert_close(before, after)


@pytest.mark.slow
@every_generator
def test_generator_is_one_graph_to_the_compiler(component: Component | Variant, spec: DataSpec) -> None:
    generator = build(component, spec).eval()
    latent = latents(generator)
    torch._dynamo.reset()
    compiled = torch.compile(generator, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(latent, labels(spec)), generator(latent, labels(spec)))


@pytest.mark.slow
@every_discriminator
def test_discriminator_is_one_graph_to_the_compiler(component: Component | Variant, spec: DataSpec) -> None:
    discriminator = build(component, spec).eval()
    real = samples(spec)
    torch._dynamo.reset()
    compiled = torch.compile(discriminator, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(real, labels(spec)), discriminator(real, labels(spec)))
