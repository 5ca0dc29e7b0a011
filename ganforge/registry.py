"""Names for the parts of a GAN, and where they come from.

    @register.generator("mine")
    class MyGenerator(nn.Module):
        def __init__(self, spec: DataSpec, *, latent_dim: int = 100) -> None: ...

Parameters before `*` are supplied by the framework, options after it by the recipe. A name is
looked up among the built-ins, then among what the recipe's `plugins` registered, then among the
entry points of installed packages (`ganforge.generators`, ...), which are imported only when their
name is asked for.
"""

import importlib
import os
import sys
from collections.abc import Iterable

from ganforge.component import Component
from ganforge.component_tables import DataTable, DiscriminatorTable, OptimizerTable, PenaltyTable
from ganforge.errors import PluginError, RegistryError
from ganforge.kind import Kind
from ganforge.wording import did_you_mean

__all__ = ["Component", "Kind", "Registry", "load_plugins", "register"]


class Registry:
    """All shelves. A kind is one line here: its name, what it is offered, where the built-ins are, its table."""

    def __init__(self) -> None:
        families = tuple(f"ganforge.models.{name}" for name in ("dcgan", "mlp", "resnet", "r3gan", "stylegan2"))
        self.generator = Kind(
            "generator",
            offers=("spec", "source"),
            modules=(*families, "ganforge.models.unet_translator", "ganforge.models.resnet_translator"),
        )
        self.discriminator = Kind(
            "discriminator",
            offers=("spec",),
            modules=(*families, "ganforge.models.unet_patch"),
            table=DiscriminatorTable,
        )
        self.objective = Kind(
            "objective",
            modules=(
                "ganforge.objectives.cross_entropy",
                "ganforge.objectives.least_squares",
                "ganforge.objectives.hinge",
                "ganforge.objectives.wasserstein",
                "ganforge.objectives.relativistic",
                "ganforge.objectives.auxiliary",
                "ganforge.objectives.top_k",
            ),
        )
        self.penalty = Kind(
            "penalty",
            plural="penalties",
            modules=(
                "ganforge.penalties.gradients",
                "ganforge.penalties.weights",
                "ganforge.penalties.features",
                "ganforge.penalties.consistency",
                "ganforge.penalties.lecam",
                "ganforge.penalties.path_length",
                "ganforge.penalties.translation",
            ),
            table=PenaltyTable,
        )
        self.augment = Kind(
            "augment",
            offers=("spec",),
            modules=tuple(
                f"ganforge.augment.{name}"
                for name in ("noise", "geometry", "colour", "cutout", "diffaugment", "ada", "ada_fixed")
            ),
            plural="augmentations",
        )
        self.degradation = Kind(
            "degradation",
            offers=("spec",),
            modules=tuple(f"ganforge.degradations.{name}" for name in ("size", "holes", "noise")),
        )
        self.schedule = Kind("schedule", modules=("ganforge.schedules",))
        self.dataset = Kind(
            "dataset",
            offers=("cache_dir", "cache_limit_bytes"),
            modules=tuple(f"ganforge.data.{name}" for name in ("shards.registered", "pairs", "digits", "synthetic")),
            table=DataTable,
        )
        self.optimizer = Kind(
            "optimizer",
            offers=("params",),
            modules=("ganforge.optimizers.usual", "ganforge.optimizers.torch_optim"),
            table=OptimizerTable,
        )
        self.extractor = Kind(
            "extractor",
            offers=("dataset", "cache_dir"),
            modules=tuple(f"ganforge.metrics.{name}" for name in ("extractors", "inception", "dinov2", "clip")),
        )
        self.metric = Kind(
            "metric",
            offers=("dataset", "cache_dir"),
            modules=tuple(
                f"ganforge.metrics.{name}" for name in ("frechet", "scores", "neighbours", "modes", "by_class", "pairs")
            ),
        )

    def kinds(self) -> dict[str, Kind]:
        """Shelves by their singular name."""
        return {kind.name: kind for kind in vars(self).values() if isinstance(kind, Kind)}

    def kind(self, name: str) -> Kind:
        """A shelf by its singular or plural name.

        Raises:
            RegistryError: there is no such kind.
        """
        kinds = self.kinds()
        for kind in kinds.values():
            if name in (kind.name, kind.plural):
                return kind
        raise RegistryError(f"no kind '{name}'{did_you_mean(name, kinds)}; kinds: {', '.join(kinds)}")


register = Registry()


def load_plugins(modules: Iterable[str]) -> None:
    """Import the modules of a recipe's `plugins`, so that they register their components.

    They are looked for on Python's path, and then in the working directory, whichever way ganforge was started.

    Raises:
        PluginError: a module is missing or fails on import; the message names it.
    """
    here = os.getcwd()
    for module in modules:
        if here not in sys.path:
            sys.path.append(here)  # `python -m ganforge` has it there already, the `ganforge` script has not
        try:
            importlib.import_module(module)
        except RegistryError:
            raise
        except Exception as error:
            missing = isinstance(error, ModuleNotFoundError)
            remedy = "; is it installed, or is its folder on PYTHONPATH?" if missing else ""
            raise PluginError(
                f"plugins: '{module}' cannot be imported: {type(error).__name__}: {error}{remedy}"
            ) from error
