"""A registered class or function, and what its signature says about it."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from typing import Any, TypeVar, cast

from pydantic import create_model

from ganforge.errors import RecipeError, RegistryError
from ganforge.nested import as_toml
from ganforge.option_docs import option_docs
from ganforge.options import OptionsModel, validate

Table = TypeVar("Table", bound=OptionsModel)


@dataclass(frozen=True)
class Component:
    """A part of a GAN that can be made by its name.

    Args:
        kind: singular, such as `generator`.
        name: as in a recipe.
        factory: the class or function.
        supplied: parameters before `*`, which the framework supplies.
        options: parameters after `*`, as a schema.
    """

    kind: str
    name: str
    factory: Callable[..., Any]
    supplied: tuple[str, ...]
    options: type[OptionsModel]

    def __str__(self) -> str:
        """`generator 'dcgan'`, as messages have it."""
        return f"{self.kind} '{self.name}'"

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
        """Distribution and version that the component comes from, or a note that it belongs to none."""
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
        """Source file and line; for a decorated function, those of the function that it wraps."""
        try:
            source = inspect.unwrap(self.factory)
            return f"{inspect.getsourcefile(source)}:{inspect.getsourcelines(source)[1]}"
        except (OSError, TypeError):
            return "no source"
