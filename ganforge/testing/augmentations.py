"""Augmentations: the same shape and type, gradients for the generator, state that survives a checkpoint."""

import pytest
import torch
from torch import Tensor, nn

from ganforge.augment.base import Augmentation
from ganforge.registry import Component
from ganforge.spec import DataSpec
from ganforge.testing.small import build, clone, samples

every_augmentation = pytest.mark.ganforge_components("augment")


def changed(augmentation: nn.Module, seen: Tensor) -> Tensor:
    """Apply an augmentation with the same random draws each time."""
    torch.manual_seed(3)
    return augmentation(seen)


@every_augmentation
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
def test_shape_and_type_stay_and_samples_are_not_written_on(
    component: Component, spec: DataSpec, dtype: torch.dtype
) -> None:
    seen = samples(spec, dtype)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        result = changed(build(component, spec), seen)
    assert result.shape == seen.shape
    assert result.dtype == dtype
    assert result.isfinite().all()
    assert torch.equal(seen, samples(spec, dtype))


@every_augmentation
def test_gradients_reach_the_generator_through_it_and_can_be_differentiated_again(
    component: Component, spec: DataSpec
) -> None:
    augmentation = build(component, spec)
    seen = samples(spec).requires_grad_()
    (gradient,) = torch.autograd.grad(changed(augmentation, seen).square().sum(), seen, create_graph=True)
    assert gradient.abs().sum() > 0
    assert gradient.isfinite().all()
    gradient.square().sum().backward()
    assert seen.grad is not None
    assert seen.grad.isfinite().all()


@every_augmentation
def test_channels_last_changes_nothing_but_speed(component: Component, spec: DataSpec) -> None:
    seen = samples(spec, batch=16)
    if not spec.is_image:
        pytest.skip("points have one layout")
    result = changed(build(component, spec), seen.to(memory_format=torch.channels_last))
    assert result.shape == seen.shape
    plain = changed(build(component, spec), seen)
    # Draws of the samples' own shape come in the order of the memory, so compare distributions there.
    torch.testing.assert_close(result.mean(), plain.mean(), atol=0.1, rtol=0.1)


@every_augmentation
def test_its_state_comes_back_from_a_checkpoint(component: Component, spec: DataSpec) -> None:
    first, second = build(component, spec), build(component, spec, seed=1)
    for step in range(1, 9):
        changed(first, samples(spec))
        _watch(first, step)
    second.load_state_dict(clone(first.state_dict()))
    for each in (first, second):
        _watch(each, 9)
    torch.testing.assert_close(changed(first, samples(spec)), changed(second, samples(spec)), rtol=0, atol=0)


def _watch(augmentation: nn.Module, step: int) -> None:
    """Call what training calls on adaptive augmentations."""
    if isinstance(augmentation, Augmentation):
        augmentation.observe(torch.linspace(-0.1, 1, 8))
        augmentation.adapt(lambda tensor: tensor, step, 8)
