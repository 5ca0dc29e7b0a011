"""A registered class or function, and what its signature says about it."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from typing import Any, TypeVar, cast

from pydantic import create_model

from ganforge.declarations import Declaration
from ganforge.errors import RecipeError, RegistryError
from ganforge.nested import as_toml
from ganforge.option_docs import option_docs
from ganforge.options import OptionsModel, options_model, validate
from ganforge.version import __version__

Table = TypeVar("Table", bound=OptionsModel)


@dataclass(frozen=True)
class Component:
    """A part of a GAN that can be made by its name.

    Args:
        kind: singular, such as `generator`.
        name: as in a recipe.
        described: what the signature and the docstring are of: the class or function, or its declaration in the source
            of a module that is not imported yet.
        supplied: parameters before `*`, which the framework supplies.
    """

    kind: str
    name: str
    described: Callable[..., Any] | Declaration
    supplied: tuple[str, ...]

    def __str__(self) -> str:
        """`generator 'dcgan'`, as messages have it."""
        return f"{self.kind} '{self.name}'"

    @cached_property
    def factory(self) -> Callable[..., Any]:
        """The class or function; its module is imported if it has only been read so far."""
        return self.described.load() if isinstance(self.described, Declaration) else self.described

    @cached_property
    def options(self) -> type[OptionsModel]:
        """Parameters after `*`, as a schema.

        Raises:
            RegistryError: the signature cannot be a schema, or a default does not fit its annotation.
        """
        return options_model(self.described, f"{self} ({self.origin})")

    def check(self, given: Mapping[str, Any]) -> OptionsModel:
        """Options by name, checked as a recipe's are, every default filled in.

        Args:
            given: as a recipe's table has them; tuples and paths may stand for lists and strings.

        Raises:
            RecipeError: lists every problem, as for a recipe.
        """
        table = {name: as_toml(value) for name, value in given.items() if not self._is_unset(name, value)}
        options, problems = validate(self.options, table)
        if options is None:
            raise RecipeError(str(self), problems)
        return options

    def build(self, options: OptionsModel, **offers: Any) -> Any:
        """Make the part; of what the framework offers, it is given the parameters that its signature names.

        Raises:
            RegistryError: the options were not checked, or something that the signature names is not offered.
        """
        if not isinstance(options, OptionsModel):  # pyright: ignore[reportUnnecessaryIsInstance]  # users have no checker
            raise RegistryError(
                f"{self}: build takes options from `check`, not a {type(options).__name__}; "
                f"register.{self.kind}.make('{self.name}', ...) does both"
            )
        if missing := [name for name in self.supplied if name not in offers]:
            raise RegistryError(f"{self}: also needs {', '.join(missing)}; give it by position or by name")
        taken = {name: offers[name] for name in self.supplied}
        values = {name: getattr(options, name) for name in self.options.model_fields}
        return self.factory(**taken, **values)

    def table(self, keys: type[Table]) -> type[Table]:
        """The schema of a recipe's table that names this component: the framework's keys beside its options."""
        return cast("type[Table]", create_model(str(self), __base__=(keys, self.options)))

    def _is_unset(self, name: str, value: Any) -> bool:
        """Whether an option is None where leaving it out, as TOML has to, means the same."""
        field = self.options.model_fields.get(name)
        return value is None and field is not None and not field.is_required() and field.default is None

    @cached_property
    def summary(self) -> str:
        return self.doc.split("\n", 1)[0]

    @property
    def doc(self) -> str:
        """The docstring."""
        return inspect.getdoc(self.described) or ""

    @cached_property
    def option_docs(self) -> dict[str, str]:
        return option_docs(self.described)

    @property
    def origin(self) -> str:
        """Dotted name of the class or function."""
        return f"{self.described.__module__}.{self.described.__qualname__}"

    @property
    def package(self) -> str:
        """Distribution and version that the component comes from, or a note that it belongs to none."""
        top = self.described.__module__.split(".", 1)[0]
        if top == "ganforge":
            return f"ganforge {__version__}"
        names = metadata.packages_distributions().get(top, [])
        if names:
            return f"{names[0]} {metadata.version(names[0])}"
        for distribution in metadata.distributions():  # an editable installation lists none of its modules
            if any(point.module.split(".", 1)[0] == top for point in distribution.entry_points):
                return f"{distribution.name} {distribution.version}"
        return "not an installed package"

    @property
    def file(self) -> str:
        """Source file and line; for a decorated function, those of the function that it wraps."""
        if isinstance(self.described, Declaration):
            return self.described.place
        try:
            source = inspect.unwrap(self.described)
            return f"{inspect.getsourcefile(source)}:{inspect.getsourcelines(source)[1]}"
        except (OSError, TypeError):
            return "no source"
