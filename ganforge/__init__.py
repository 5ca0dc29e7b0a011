"""ganforge: train GANs from one TOML recipe, on a laptop, on one GPU, on a cluster; or use its parts as a library."""

from typing import TYPE_CHECKING, Any

from ganforge.version import __version__

__all__ = ["DataSpec", "Loader", "Recipe", "Turn", "__version__", "evaluate", "load_generator", "register", "train"]

if TYPE_CHECKING:
    from ganforge.data.loader import Loader
    from ganforge.game.turn import Turn
    from ganforge.library import evaluate, train
    from ganforge.recipe import Recipe
    from ganforge.registry import register
    from ganforge.saved.generator_file import load_generator
    from ganforge.spec import DataSpec

_HOMES = {
    "DataSpec": "ganforge.spec",
    "Loader": "ganforge.data.loader",
    "Recipe": "ganforge.recipe",
    "Turn": "ganforge.game.turn",
    "evaluate": "ganforge.library",
    "load_generator": "ganforge.saved.generator_file",
    "register": "ganforge.registry",
    "train": "ganforge.library",
}


def __getattr__(name: str) -> Any:
    """Import public names when they are first used: `ganforge --help` must not wait for torch."""
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'ganforge' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
