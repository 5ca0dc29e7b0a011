"""ganforge: train GANs from one TOML recipe, on a laptop, on one GPU, on a cluster."""

from typing import TYPE_CHECKING, Any

from ganforge.version import __version__

__all__ = ["Recipe", "__version__", "load_generator", "register"]

if TYPE_CHECKING:
    from ganforge.recipe import Recipe
    from ganforge.registry import register
    from ganforge.saved.generator_file import load_generator

_HOMES = {
    "Recipe": "ganforge.recipe",
    "load_generator": "ganforge.saved.generator_file",
    "register": "ganforge.registry",
}


def __getattr__(name: str) -> Any:
    """Import public names when they are first used: `ganforge --help` must not wait for torch."""
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'ganforge' has no attribute '{name}'")
