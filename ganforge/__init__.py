"""ganforge: train GANs from one TOML recipe, on a laptop, on one GPU, on a cluster."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Recipe", "__version__", "load_generator", "register"]

if TYPE_CHECKING:
    from ganforge.generator_file import load_generator
    from ganforge.recipe import Recipe
    from ganforge.registry import register

_HOMES = {"Recipe": "ganforge.recipe", "load_generator": "ganforge.generator_file", "register": "ganforge.registry"}


def __getattr__(name: str) -> Any:
    """Import public names when they are first used: `ganforge --help` must not wait for torch."""
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'ganforge' has no attribute '{name}'")
