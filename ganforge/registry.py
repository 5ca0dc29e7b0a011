"""Names for the parts of a GAN, and where they come from.

    @register.generator("mine")
    class MyGenerator(nn.Module):
        def __init__(self, spec: DataSpec, *, latent_dim: int = 100) -> None: ...

What stands before `*` the framework supplies, what stands after it the recipe does. A name is
looked up among the built-ins, then among what the recipe's `plugins` registered, then among the
entry points of installed packages (`ganforge.generators`, ...), which are imported only when their
name is asked for.
"""

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from typing import Any, TypeVar

from ganforge.data.options import LoaderOptions
from ganforge.errors import PluginError, RegistryError
from ganforge.options import OptionsModel, did_you_mean, option_docs, options_model, signature_parts

T = TypeVar("T", bound=Callable[..., Any])


@dataclass(frozen=True)
class Component:
    """A registered class or function, and what its signature says about it."""

    kind: str
    name: str
    factory: Callable[..., Any]
    supplied: tuple[str, ...]
    options: type[OptionsModel]

    def build(self, options: OptionsModel, **offers: Any) -> Any:
        """Make the part: of what the framework offers, the signature takes what it names."""
        taken = {name: offers[name] for name in self.supplied}
        values = {name: getattr(options, name) for name in self.options.model_fields}
        return self.factory(**taken, **values)

    @cached_property
    def summary(self) -> str:
        return (inspect.getdoc(self.factory) or "").split("\n", 1)[0]

    @cached_property
    def option_docs(self) -> dict[str, str]:
        return option_docs(self.factory)

    @property
    def origin(self) -> str:
        """Dotted name of the class or function."""
        return f"{self.factory.__module__}.{self.factory.__qualname__}"

    @property
    def package(self) -> str:
        """Distribution and version that the component comes from, or that it is in none."""
        top = self.factory.__module__.split(".", 1)[0]
        names = metadata.packages_distributions().get(top, [])
        if names:
            return f"{names[0]} {metadata.version(names[0])}"
        for distribution in metadata.distributions():  # an editable installation lists none of its modules
            if any(point.module.split(".", 1)[0] == top for point in distribution.entry_points):
                return f"{distribution.name} {distribution.version}"
        return "not an installed package"

    @property
    def file(self) -> str:
        """Source file and line; of what a function wraps, if it says so."""
        try:
            source = inspect.unwrap(self.factory)
            return f"{inspect.getsourcefile(source)}:{inspect.getsourcelines(source)[1]}"
        except (OSError, TypeError):
            return "no source"


class Kind:
    """One shelf of the registry: all generators, all penalties, ...

    Args:
        name: singular, as in `register.generator` and in a recipe.
        offers: names that the framework can supply to a component of this kind.
        modules: the modules whose import registers the built-ins.
        reserved: keys of the recipe's table that belong to the framework.
        plural: if it is not the name with an s.
    """

    def __init__(
        self,
        name: str,
        *,
        offers: tuple[str, ...] = (),
        modules: tuple[str, ...] = (),
        reserved: tuple[str, ...] = (),
        plural: str = "",
    ) -> None:
        self.name = name
        self.offers = offers
        self.plural = plural or f"{name}s"
        self.reserved = ("name", *reserved)
        self._builtin_modules = list(modules)
        self._components: dict[str, Component] = {}
        self._spellings: dict[str, str] = {}
        self._refused: dict[str, str] = {}

    def __call__(self, name: str) -> Callable[[T], T]:
        """Decorator that puts a class or function on this shelf."""

        def decorate(factory: T) -> T:
            self.add(name, factory)
            return factory

        return decorate

    def add(self, name: str, factory: Callable[..., Any]) -> None:
        """Register without a decorator, as an entry point does.

        Raises:
            RegistryError: the name is taken by another object, or the signature breaks the contract.
        """
        if not (inspect.isclass(factory) or inspect.isfunction(factory)):
            raise RegistryError(f"{self.name} '{name}': {factory!r} is not a class or a function")
        where = f"{self.name} '{name}' ({factory.__module__}.{factory.__qualname__})"
        taken = self._components.get(name)
        if taken is not None:
            if taken.factory is factory or taken.origin == f"{factory.__module__}.{factory.__qualname__}":
                pass  # the same definition again: a notebook cell or a reloaded module
            else:
                raise RegistryError(f"{where}: the name is taken by {taken.origin}; choose another")
        supplied, parameters = signature_parts(factory, where)
        for parameter in supplied:
            if parameter not in self.offers:
                known = ", ".join(self.offers) or "nothing"
                raise RegistryError(
                    f"{where}: '{parameter}' stands before '*', but a {self.name} is offered {known} there; "
                    "put options after a bare '*'"
                )
        for parameter in parameters:
            if parameter.name in self.reserved:
                raise RegistryError(f"{where}: the option name '{parameter.name}' belongs to the framework; rename it")
        model = options_model(factory, where)
        self._components[name] = Component(self.name, name, factory, tuple(supplied), model)

    def spell(self, spelling: str, name: str) -> None:
        """Let `get` know a component by a second name, which is not listed."""
        self._spellings[spelling] = name

    def refuse(self, name: str, reason: str) -> None:
        """Have `get` say why a name that one might look for here is none of ours."""
        self._refused[name] = reason

    def knows(self, name: str) -> bool:
        """Whether `get` has an answer, be it why not; imports no entry point."""
        return name in self.names() or name in self._spellings or name in self._refused

    def get(self, name: str) -> Component:
        """The component of that name.

        Raises:
            RegistryError: nobody registered it; the message lists near and known names.
            PluginError: it is an entry point that cannot be imported.
        """
        self._import_builtins()
        if name not in self._components:
            name = self._spellings.get(name, name)
        if name not in self._components:
            self._load_entry_point(name)
        if name not in self._components and name in self._refused:
            raise RegistryError(f"{self.name} '{name}' cannot serve here: it {self._refused[name]}")
        if name not in self._components:
            names = self.names()
            raise RegistryError(
                f"no {self.name} is called '{name}'{did_you_mean(name, names)}; known: {', '.join(names) or 'none'}"
            )
        return self._components[name]

    def names(self) -> list[str]:
        """Every name that `get` can find, entry points included; these are not imported."""
        self._import_builtins()
        return sorted({*self._components, *(point.name for point in self.entry_points())})

    def loaded(self) -> Iterable[Component]:
        """The components that are registered now, without loading entry points."""
        self._import_builtins()
        return [self._components[name] for name in sorted(self._components)]

    def entry_points(self, name: str | None = None) -> list[metadata.EntryPoint]:
        """Installed entry points of the group `ganforge.<plural>`."""
        group = f"ganforge.{self.plural}"
        points = metadata.entry_points(group=group)
        return [point for point in points if name is None or point.name == name]

    def _import_builtins(self) -> None:
        while self._builtin_modules:
            module = self._builtin_modules[0]
            importlib.import_module(module)
            self._builtin_modules.pop(0)

    def _load_entry_point(self, name: str) -> None:
        points = self.entry_points(name)
        if len({point.value for point in points}) > 1:
            values = " and ".join(describe_entry_point(point) for point in points)
            raise RegistryError(f"{self.name} '{name}' is offered twice: {values}; uninstall one of them")
        if not points:
            return
        point = points[0]
        try:
            factory = point.load()
        except Exception as error:
            raise PluginError(
                f"{self.name} '{name}': entry point {describe_entry_point(point)} cannot be imported: "
                f"{type(error).__name__}: {error}"
            ) from error
        if name not in self._components:
            self.add(name, factory)


def describe_entry_point(point: metadata.EntryPoint) -> str:
    """`package.module:Object (distribution version)`."""
    origin = f"{point.dist.name} {point.dist.version}" if point.dist is not None else "an unnamed package"
    return f"{point.value} ({origin})"


class Registry:
    """All shelves. A kind is one line here: what it is called, what it is offered, where the built-ins are."""

    def __init__(self) -> None:
        families = tuple(f"ganforge.models.{name}" for name in ("dcgan", "mlp", "resnet", "r3gan"))
        self.generator = Kind("generator", offers=("spec",), modules=families)
        self.discriminator = Kind(
            "discriminator",
            offers=("spec",),
            modules=(*families, "ganforge.models.unet_patch"),
            reserved=("packing",),
        )
        self.objective = Kind(
            "objective",
            modules=(
                "ganforge.objectives.cross_entropy",
                "ganforge.objectives.least_squares",
                "ganforge.objectives.hinge",
                "ganforge.objectives.wasserstein",
                "ganforge.objectives.relativistic",
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
            ),
            reserved=("weight", "interval"),
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
        self.schedule = Kind("schedule", modules=("ganforge.schedules",))
        self.dataset = Kind(
            "dataset",
            offers=("cache_dir", "cache_limit_bytes"),
            modules=("ganforge.data.shards", "ganforge.data.digits", "ganforge.data.synthetic"),
            reserved=("cache_dir", *LoaderOptions.model_fields),
        )
        self.optimizer = Kind(
            "optimizer",
            offers=("params",),
            modules=("ganforge.optimizers.usual", "ganforge.optimizers.torch_optim"),
            reserved=("warmup", "decay", "clip_norm", "clip_value", "clip_weights"),
        )
        self.extractor = Kind(
            "extractor",
            offers=("dataset", "cache_dir"),
            modules=tuple(f"ganforge.metrics.{name}" for name in ("extractors", "inception", "dinov2", "clip")),
        )
        self.metric = Kind(
            "metric",
            offers=("dataset", "cache_dir"),
            modules=tuple(f"ganforge.metrics.{name}" for name in ("frechet", "scores", "neighbours", "modes")),
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
