"""Degradations: pictures of the spec that they name, in the range, that depend on picture and numbers alone."""

import pytest
import torch
from torch import Tensor

from ganforge.degradations import Degradation
from ganforge.registry import Component
from ganforge.spec import DataSpec
from ganforge.testing.small import BATCH, build, samples

every_degradation = pytest.mark.ganforge_components("degradation")


def numbers_for(part: Degradation) -> Tensor:
    """`(batch, part.numbers)` in [0, 1), the same each time."""
    return torch.rand(BATCH, part.numbers, dtype=torch.float64, generator=torch.Generator().manual_seed(4))


@every_degradation
def test_it_gives_pictures_of_its_spec_in_the_range_and_leaves_what_it_is_given(
    component: Component, spec: DataSpec
) -> None:
    part = build(component, spec)
    seen = samples(spec)
    result = part(seen, numbers_for(part))
    assert result.shape == (BATCH, *part.spec.shape)
    assert result.dtype == seen.dtype
    assert result.abs().max() <= 1
    assert torch.equal(seen, samples(spec)), "the targets are used again"


@every_degradation
def test_a_picture_does_not_depend_on_its_batch_nor_on_a_random_state(component: Component, spec: DataSpec) -> None:
    part = build(component, spec)
    seen, numbers = samples(spec), numbers_for(part)
    state = torch.random.get_rng_state()
    whole = part(seen, numbers)
    assert torch.equal(torch.random.get_rng_state(), state), "take `numbers`, which do not depend on ranks or restarts"
    for index in range(BATCH):
        one = part(seen[index : index + 1], numbers[index : index + 1])
        torch.testing.assert_close(one[0], whole[index], rtol=0, atol=1e-5)


@every_degradation
def test_it_has_nothing_to_learn_and_nothing_to_save(component: Component, spec: DataSpec) -> None:
    part = build(component, spec)
    assert not list(part.parameters()), "it is not trained"
    assert not part.state_dict(), "it is made anew from the recipe: register_buffer(..., persistent=False)"
