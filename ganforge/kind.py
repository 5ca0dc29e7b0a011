"""One kind of component: its names, what it is offered, and how a name is found."""

import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar, cast

from ganforge.component import Component
from ganforge.component_tables import ComponentTable
from ganforge.declarations import Declaration, UnreadableError, declarations
from ganforge.errors import PluginError, Problem, RecipeError, RegistryError
from ganforge.files import user_cache
from ganforge.loader_options import LoaderOptions
from ganforge.options import signature_parts
from ganforge.wording import did_you_mean

T = TypeVar("T", bound=Callable[..., Any])


class Kind:
    """One shelf of the registry: all generators, all penalties, ...

    Args:
        name: singular, as in `register.generator` and in a recipe.
        offers: names that the framework can supply to a component of this kind.
        modules: the modules that register the built-ins; they are read, and imported when a part is made.
        table: the recipe's, whose keys belong to the framework.
        plural: if it is not the name with an s.
    """

    def __init__(
        self,
        name: str,
        *,
        offers: tuple[str, ...] = (),
        modules: tuple[str, ...] = (),
        table: type[ComponentTable] = ComponentTable,
        plural: str = "",
    ) -> None:
        self.name = name
        self.offers = offers
        self.plural = plural or f"{name}s"
        self.table = table
        self._builtin_modules = list(modules)
        self._components: dict[str, Component] = {}
        self._promised: dict[str, tuple[str, Callable[[], Callable[..., Any]]]] = {}
        self._spellings: dict[str, str] = {}
        self._refused: dict[str, str] = {}

    @property
    def reserved(self) -> tuple[str, ...]:
        """Names that no option can have, since the framework's own keys stand in the same table."""
        return tuple(self.table.model_fields)

    def __call__(self, name: str) -> Callable[[T], T]:
        """Decorator that puts a class or function on this shelf."""

        def decorate(factory: T) -> T:
            self.add(name, factory)
            return factory

        return decorate

    def add(self, name: str, factory: Callable[..., Any] | Declaration) -> None:
        """Register without a decorator, as an entry point does, or by what a source declares.

        Raises:
            RegistryError: the name is taken by another object, or the signature breaks the contract.
        """
        if not (inspect.isclass(factory) or inspect.isfunction(factory) or isinstance(factory, Declaration)):
            raise RegistryError(f"{self.name} '{name}': {factory!r} is not a class or a function")
        where = f"{self.name} '{name}' ({factory.__module__}.{factory.__qualname__})"
        taken = self._components.get(name)
        if taken is not None:
            if taken.described is factory or taken.origin == f"{factory.__module__}.{factory.__qualname__}":
                pass  # the same definition again: read and now imported, a notebook cell or a reloaded module
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
        component = Component(self.name, name, factory, tuple(supplied))
        if not isinstance(factory, Declaration):
            _ = component.options  # whether it can be a schema is told here; of a built-in, tests know that it can
        self._components[name] = component

    def promise(self, name: str, summary: str, load: Callable[[], Callable[..., Any]]) -> None:
        """Register a name whose class or function is costly to describe; `load` gives it when the name is asked for.

        Args:
            name: as in a recipe.
            summary: the first line of its docstring.
            load: without arguments, what `add` takes.
        """
        self._promised[name] = (summary, load)

    def spell(self, spelling: str, name: str) -> None:
        """Let `get` find a component by a second name, which is not listed."""
        self._spellings[spelling] = name

    def refuse(self, name: str, reason: str) -> None:
        """Have `get` explain why a name that users may look for here is not provided."""
        self._refused[name] = reason

    def knows(self, name: str) -> bool:
        """Whether `get` knows the name, if only to refuse it; imports nothing."""
        return name in self.names() or name in self._spellings or name in self._refused

    def get(self, name: str) -> Component:
        """The component of that name.

        Raises:
            RegistryError: the name is not registered; the message lists near and known names.
            PluginError: it is an entry point that cannot be imported.
        """
        self._read_builtins()
        if name not in self._components:
            name = self._spellings.get(name, name)
        if name not in self._components and name in self._promised:
            self.add(name, self._promised[name][1]())
        if name not in self._components:
            self._load_entry_point(name)
        if name not in self._components and name in self._refused:
            raise RegistryError(f"{self.name} '{name}' cannot be used here: it {self._refused[name]}")
        if name not in self._components:
            names = self.names()
            shown = name if len(name) <= 100 else f"{name[:97]}..."
            raise RegistryError(
                f"no {self.name} is called '{shown}'{did_you_mean(name, names)}; known: {', '.join(names) or 'none'}"
            )
        return self._components[name]

    def make(self, name: str, /, *offered: Any, **options: Any) -> Any:
        """Make a component: `register.generator.make("dcgan", spec, latent_dim=32)`.

        Args:
            name: as in a recipe.
            offered: what a recipe's framework would supply, in the order of `offers`; may be given by name as well.
                A `cache_dir` is by default the user's cache folder, `cache_limit_bytes` that of a recipe.
            options: by name, checked as a recipe's are.

        Raises:
            RegistryError: the name is not registered, or the signature does not fit what was offered.
            RecipeError: lists every problem with its options, as for a recipe.
        """
        component = self.get(name)
        if len(offered) > len(self.offers):
            known = ", ".join(self.offers) or "nothing"
            article = "an" if self.name[0] in "aeiou" else "a"
            raise RegistryError(
                f"{component}: got {len(offered)} by position, but {article} {self.name} takes {known} by position; "
                "give options by name"
            )
        offers = dict(zip(self.offers, offered, strict=False))
        for key in self.offers:
            if key in options and key not in component.options.model_fields:
                offers[key] = options.pop(key)
        if "cache_dir" in component.supplied:
            offers["cache_dir"] = Path(offers.get("cache_dir") or user_cache())
        if "cache_limit_bytes" in component.supplied:
            offers.setdefault("cache_limit_bytes", LoaderOptions().cache_limit_bytes)
        checked = component.check(options)
        try:
            return component.build(checked, **offers)
        except ValueError as error:
            raise RecipeError(str(component), [Problem("", str(error))]) from error

    def names(self) -> list[str]:
        """Every name that `get` can find, entry points included; nothing is imported."""
        self._read_builtins()
        return sorted({*self._components, *self._promised, *(point.name for point in self.entry_points())})

    def loaded(self) -> Iterable[Component]:
        """The components that are registered now, without loading entry points."""
        self._read_builtins()
        for name in self._promised.keys() - self._components.keys():
            self.get(name)
        return [self._components[name] for name in sorted(self._components)]

    def summaries(self) -> Iterator[tuple[str, str]]:
        """Every name, and what it is in a line: an entry point that was not asked for is named by where it is."""
        for name in self.names():
            if name in self._components:
                yield name, self._components[name].summary
            elif name in self._promised:
                yield name, self._promised[name][0]
            else:
                places = " and ".join(describe_entry_point(point) for point in self.entry_points(name))
                yield name, f"entry point {places}"

    def entry_points(self, name: str | None = None) -> list[metadata.EntryPoint]:
        """Installed entry points of the group `ganforge.<plural>`."""
        group = f"ganforge.{self.plural}"
        points = installed_entry_points().select(group=group)
        return [point for point in points if name is None or point.name == name]

    def _read_builtins(self) -> None:
        """Put the built-ins on the shelf by their sources; a module that is imported has done so itself."""
        while self._builtin_modules:
            module = self._builtin_modules[0]
            try:
                declared = () if module in sys.modules else declarations(module)
            except UnreadableError:
                declared = ()
            if not declared:
                importlib.import_module(module)
            for declaration in declared:
                if declaration.kind == self.name:
                    self.add(declaration.name, declaration)
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


def installed_entry_points() -> metadata.EntryPoints:
    """Entry points of all installed packages; they are looked up again when a folder of Python's path has changed."""
    folders = [Path(entry or ".") for entry in sys.path]
    return _entry_points(tuple((str(folder), folder.stat().st_mtime_ns) for folder in folders if folder.is_dir()))


@lru_cache(maxsize=1)
def _entry_points(path: tuple[tuple[str, int], ...]) -> metadata.EntryPoints:
    return cast(metadata.EntryPoints, metadata.entry_points())  # of Python 3.11 a mapping that selects all the same


def describe_entry_point(point: metadata.EntryPoint) -> str:
    """`package.module:Object (distribution version)`."""
    origin = f"{point.dist.name} {point.dist.version}" if point.dist is not None else "an unnamed package"
    return f"{point.value} ({origin})"
