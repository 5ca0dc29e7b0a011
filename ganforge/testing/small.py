"""Components at a small size, and samples for them."""

import copy
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from ganforge.errors import GanforgeError
from ganforge.game.networks import latent_dim_of
from ganforge.options import OptionsModel
from ganforge.registry import Component, register
from ganforge.spec import DataSpec

POINTS = (DataSpec((2,)),)
PICTURES = (DataSpec((1, 16, 16)), DataSpec((3, 32, 32)), DataSpec((3, 64, 64)))
CLASSES = ("cat", "dog", "owl")
BATCH = 4
NARROW = {"width": 8, "channel_max": 8, "w_dim": 16, "blocks": 1, "depth": 3}
"""Options that make a network small, tried where it has them."""

Refusal = (ValueError, GanforgeError)
"""Errors that a component may raise when it does not fit the spec."""


def options_of(component: Component) -> OptionsModel:
    """Option values: the defaults, and some value of the right type for an option without one."""
    fields = component.options.model_fields
    required = {name: _stand_in(field.annotation) for name, field in fields.items() if field.is_required()}
    return component.options(**required)


def _stand_in(annotation: Any) -> Any:
    return {bool: False, int: 1, float: 0.5, str: "x"}.get(annotation, ())


@cache
def specs_of(component: Component) -> tuple[DataSpec, ...]:
    """The specs that a part accepts among points and the smallest suitable pictures, each with classes and without.

    A part that accepts none is still tested on the smallest pictures, so that its own error message is shown.
    """
    fitting = [next((spec for spec in sort if _accepts(component, spec)), None) for sort in (POINTS, PICTURES)]
    found = [spec for spec in fitting if spec is not None] or [PICTURES[0]]
    return tuple(each for spec in found for each in (spec, DataSpec(spec.shape, CLASSES)))


def _accepts(component: Component, spec: DataSpec) -> bool:
    try:
        build(component, spec)
    except Refusal:
        return False
    return True


def is_translator(component: Component) -> bool:
    """Whether a generator is given pictures in place of latents."""
    return component.kind == "generator" and "source" in component.supplied


def source_of(spec: DataSpec) -> DataSpec:
    """What a translator under test is given: pictures like its own, without classes."""
    return DataSpec(spec.shape)


def build(component: Component, spec: DataSpec, seed: int = 0, **changes: Any) -> Any:
    """Make a part, narrow where it lets us; the same for the same seed.

    It is offered a spec, and a generator also the spec of a source.

    Args:
        component: the part.
        spec: what it is offered.
        seed: of its first weights.
        changes: options that are not to have their defaults.
    """
    defaults = component.options(**{**options_of(component).model_dump(exclude_none=True), **changes})
    offers = {"spec": spec, "source": source_of(spec)} if component.kind == "generator" else {"spec": spec}
    narrow = {name: size for name, size in NARROW.items() if name in component.options.model_fields}
    if narrow:
        try:
            torch.manual_seed(seed)
            return component.build(component.options(**{**defaults.model_dump(exclude_none=True), **narrow}), **offers)
        except Refusal:
            pass  # it works at its default size, or says what is wrong
    torch.manual_seed(seed)
    return component.build(defaults, **offers)


def mlp(kind: str, spec: DataSpec, seed: int = 0, **changes: Any) -> nn.Module:
    """A partner for the component under test, with other options than the defaults where they are named."""
    return build(register.kind(kind).get("mlp"), spec, seed, **changes)


def latents(generator: nn.Module, dtype: torch.dtype = torch.float32, batch: int = BATCH) -> Tensor:
    """`(batch, latent_dim)`, the same each time."""
    dim = latent_dim_of(generator)
    drawn = torch.randn(batch, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return drawn.to(dtype)


def given(component: Component, generator: nn.Module, spec: DataSpec, dtype: torch.dtype = torch.float32) -> Tensor:
    """What a generator is given, the same each time: `(batch, latent_dim)`, or pictures `(batch, *source.shape)`."""
    return samples(source_of(spec), dtype) if is_translator(component) else latents(generator, dtype)


def samples(spec: DataSpec, dtype: torch.dtype = torch.float32, batch: int = BATCH) -> Tensor:
    """`(batch, *spec.shape)` in [-1, 1], the same each time."""
    drawn = torch.rand(batch, *spec.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    return (drawn * 2 - 1).to(dtype)


def labels(spec: DataSpec, batch: int = BATCH) -> Tensor | None:
    """`(batch,)`, or None without classes."""
    return torch.arange(batch) % spec.num_classes if spec.classes else None


def clone(tensors: dict[str, Any]) -> dict[str, Any]:
    """A copy of the state that no later step changes."""
    return copy.deepcopy(tensors)
