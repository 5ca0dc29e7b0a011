"""What every augmentation of pictures has to leave alone, whatever it changes."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from ganforge.augment.base import Augmentation
from ganforge.registry import Component, register
from ganforge.spec import DataSpec

SPEC = DataSpec((3, 16, 12))
GEOMETRIC = ("flip", "rotate", "translate", "cutout")
ALL = list(register.augment.loaded())
FOR_PICTURES = [component for component in ALL if component.name != "instance_noise"]

everyone = pytest.mark.parametrize("component", ALL, ids=lambda component: component.name)


def build(component: Component, spec: DataSpec = SPEC, **options) -> Augmentation:
    augmentation = component.build(component.options(**options), spec=spec)
    if component.name == "ada":
        augmentation.probability.fill_(options.get("initial", 1.0))
    return augmentation


def pictures(batch: int = 8, spec: DataSpec = SPEC, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return (torch.rand(batch, *spec.shape, generator=generator) * 2 - 1).to(dtype)


def off(component: Component) -> Augmentation:
    """The augmentation with the option that switches it off."""
    if component.name == "instance_noise":
        return build(component, sigma=0.0)
    if component.name == "diffaugment":
        return build(component, policy=())
    if component.name == "ada":
        return build(component, initial=0.0)
    return build(component, probability=0.0)


@everyone
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_probability_zero_is_the_identity_to_the_last_bit(component: Component, dtype: torch.dtype) -> None:
    seen = pictures(dtype=dtype)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(off(component)(seen), seen)
    assert torch.equal(off(component)(seen), seen)


@everyone
def test_something_is_changed_otherwise_and_differently_each_time(component: Component) -> None:
    torch.manual_seed(0)
    augmentation, seen = build(component), pictures(32)
    first, second = augmentation(seen), augmentation(seen)
    assert not torch.equal(first, seen)
    assert not torch.equal(first, second)
    assert torch.equal(seen, pictures(32)), "the samples themselves were changed"


@everyone
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_shape_type_and_any_number_of_channels(component: Component, dtype: torch.dtype, channels: int) -> None:
    spec = DataSpec((channels, 16, 12))
    changed = build(component, spec)(pictures(4, spec, dtype))
    assert changed.shape == (4, *spec.shape)
    assert changed.dtype == dtype
    assert changed.isfinite().all()


@everyone
def test_channels_last_pictures_are_changed_alike(component: Component) -> None:
    augmentation, seen = build(component), pictures()
    if component.name == "instance_noise":
        pytest.skip("noise is drawn in the order of the memory")
    torch.manual_seed(1)
    expected = augmentation(seen)
    torch.manual_seed(1)
    torch.testing.assert_close(augmentation(seen.to(memory_format=torch.channels_last)), expected)


@everyone
def test_gradients_reach_every_sample_as_finite_differences_say(component: Component) -> None:
    augmentation = build(component)
    seen = pictures(2, dtype=torch.float64).requires_grad_()

    def changed(samples: Tensor) -> Tensor:
        torch.manual_seed(3)
        return augmentation(samples)

    direction = torch.randn(seen.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    weight = torch.randn(seen.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(6))
    (gradient,) = torch.autograd.grad((changed(seen) * weight).sum(), seen)
    assert (gradient.flatten(1).norm(dim=1) > 0).all()
    step = 1e-6
    with torch.no_grad():
        difference = ((changed(seen + step * direction) - changed(seen - step * direction)) * weight).sum() / (2 * step)
    torch.testing.assert_close((gradient * direction).sum(), difference, rtol=1e-5, atol=1e-6)


@everyone
def test_a_gradient_penalty_can_be_taken_through_it(component: Component) -> None:
    """R1 differentiates D's logits with respect to the samples, and is differentiated again."""
    augmentation = build(component)
    weights = torch.randn(math.prod(SPEC.shape), 1, dtype=torch.float64).requires_grad_()
    seen = pictures(3, dtype=torch.float64).requires_grad_()
    logits = torch.tanh(augmentation(seen).flatten(1) @ weights)
    (gradient,) = torch.autograd.grad(logits.sum(), seen, create_graph=True)
    gradient.square().sum().backward()
    assert weights.grad is not None
    assert weights.grad.abs().sum() > 0
    assert weights.grad.isfinite().all()


@pytest.mark.parametrize("name", GEOMETRIC)
@pytest.mark.parametrize("padding", ["zeros", "reflect"])
def test_what_only_moves_pixels_keeps_their_range(name: str, padding: str) -> None:
    component = register.augment.get(name)
    options: dict[str, Any] = {"padding": padding} if "padding" in component.options.model_fields else {}
    seen = pictures(64)
    changed = build(component, **options)(seen)
    assert changed.max() <= seen.max() + 1e-6
    assert changed.min() >= seen.min() - 1e-6


@pytest.mark.parametrize("component", FOR_PICTURES, ids=lambda component: component.name)
def test_points_are_refused_in_words(component: Component) -> None:
    with pytest.raises(ValueError, match="changes pictures, but the samples are points in 2 dimensions"):
        build(component, DataSpec((2,)))


@pytest.mark.parametrize("name", ["flip", "translate", "cutout", "color", "rotate"])
def test_each_picture_is_changed_by_itself_with_the_probability(name: str) -> None:
    torch.manual_seed(0)
    seen = pictures(1).expand(2000, -1, -1, -1)
    changed = build(register.augment.get(name), probability=0.25)(seen)
    share = (changed != seen).flatten(1).any(1).float().mean()
    # A shift by (0, 0) changes nothing: one in 5 x 5 here (an eighth of 16, and of 12 when rounded, is 2).
    expected = 0.25 * (1 - 1 / 25 if name == "translate" else 1)
    assert abs(share - expected) < 4 * math.sqrt(0.25 * 0.75 / 2000)


def test_points_take_noise_of_the_strength_asked_for() -> None:
    torch.manual_seed(0)
    component = register.augment.get("instance_noise")
    augmentation = component.build(component.check({"sigma": 0.5}), spec=DataSpec((2,)))
    noise = augmentation(torch.zeros(20_000, 2))
    assert abs(noise.std() - 0.5) < 0.01
    augmentation.sigma = 0.0  # what a ramp does
    assert torch.equal(augmentation(torch.ones(3, 2)), torch.ones(3, 2))
