"""Which components are under test."""

from collections.abc import Sequence

from ganforge.errors import PluginError
from ganforge.registry import Component, load_plugins, register


def registered() -> list[Component]:
    """All components in the registry now, kind by kind."""
    return [component for kind in register.kinds().values() for component in kind.loaded()]


def built_in() -> list[Component]:
    """Components that come with ganforge, PyTorch's optimizers among them."""
    return [component for component in registered() if _is_in(component, ("ganforge", "torch.optim"))]


def registered_by(modules: Sequence[str]) -> list[Component]:
    """Components that importing these modules registers, that are defined in or below them, or that an installed
    package announces as entry points in or below them.

    Raises:
        PluginError: a module cannot be imported, or registers nothing.
    """
    before = {(component.kind, component.name) for component in registered()}
    load_plugins(modules)
    new = {(component.kind, component.name) for component in registered()} - before
    for kind in register.kinds().values():
        for point in kind.entry_points():
            if any(_is_below(point.module, module) for module in modules):
                kind.get(point.name)
    found = [part for part in registered() if (part.kind, part.name) in new or _is_in(part, modules)]
    if not found:
        raise PluginError(f"{', '.join(modules)}: registers no component, and no entry point names one there")
    return found


def _is_in(component: Component, modules: Sequence[str]) -> bool:
    return any(_is_below(component.described.__module__, module) for module in modules)


def _is_below(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")
