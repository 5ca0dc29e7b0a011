"""A recipe: the TOML file that says what to train, checked and filled in without making anything.

Parse, resolve, build: this module does the first two. The schema of a file is put together from
the components that it names, so one strict validation finds every problem at once. Resolving fills
in all defaults; `load(dump(recipe)) == recipe`.
"""

import copy
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tomli_w
from pydantic import ConfigDict, create_model

from ganforge.arguments import argument
from ganforge.component_tables import ComponentTable
from ganforge.contradictions import contradictions
from ganforge.errors import ContradictionError, PluginError, Problem, RecipeError, RegistryError
from ganforge.nested import dotted, flat, is_list, is_table, put
from ganforge.options import validate
from ganforge.recipe_data import with_data
from ganforge.recipe_names import find
from ganforge.registry import Kind, load_plugins, register
from ganforge.tables import OptimizerTables, Recipe
from ganforge.toml_files import DEEPEST, read_toml, toml_value
from ganforge.trust import check_commands, check_plugins
from ganforge.variables import as_written, expand, unset_in
from ganforge.watching_tables import EvaluationTable, HealthTable

__all__ = ["Recipe", "difference", "dump", "dump_for_people", "load", "load_saved", "override", "parse", "resolve"]


class Place(NamedTuple):
    """Where components stand in a recipe.

    Args:
        path: of the table.
        kind: of the component.
        is_list: whether there may be several.
        has_keys: whether the kind's own keys stand there too; samples held out are read without the loader.
    """

    path: tuple[str, ...]
    kind: Kind
    is_list: bool = False
    has_keys: bool = True

    @property
    def table(self) -> type[ComponentTable]:
        """The framework's keys."""
        return self.kind.table if self.has_keys else ComponentTable


PLACES = (
    Place(("data",), register.dataset),
    Place(("domain",), register.dataset),
    Place(("degrade",), register.degradation, is_list=True),
    Place(("generator",), register.generator),
    Place(("discriminator",), register.discriminator),
    Place(("objective",), register.objective),
    Place(("penalties",), register.penalty, is_list=True),
    Place(("augment",), register.augment, is_list=True),
    Place(("optimizer", "generator"), register.optimizer),
    Place(("optimizer", "discriminator"), register.optimizer),
    Place(("schedule",), register.schedule),
    Place(("evaluation", "metrics"), register.metric, is_list=True),
    Place(("evaluation", "extractor"), register.extractor),
    Place(("evaluation", "data"), register.dataset, has_keys=False),
    Place(("evaluation", "domain"), register.dataset, has_keys=False),
    Place(("health", "held_out"), register.dataset, has_keys=False),
)

FALLBACKS: dict[str, Any] = {
    "objective": {"name": "bce"},
    "schedule": {"name": "fixed"},
    "optimizer": {"generator": {"name": "adam"}, "discriminator": {"name": "adam"}},
}


def load(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    data: str | None = None,
    later: bool = False,
    is_own: bool = True,
) -> Recipe:
    """Read a recipe file, apply `--set` overrides, and resolve it.

    Args:
        path: of the file, or the name of a recipe that comes with ganforge.
        overrides: of `--set`.
        data: the shards to train on instead of its own.
        later: whether it will run in another environment, so that variables of `data` may be unset here.
        is_own: whether its plugins are imported unasked, since the user wants to train it.

    Raises:
        RecipeError: with every problem of the file.
        PluginError: a module of `plugins` cannot be imported.
        TrustError: it is not the user's own and has plugins, and the user has not allowed them.
    """
    tables = override(with_data(parse(find(path)), data, str(path)), overrides)
    if not is_own:
        _check_plugins(tables, str(path))
    return resolve(tables, str(path), later=later)


def load_saved(path: str | Path) -> Recipe:
    """Read the resolved recipe of a run that may have been another job's, or another person's.

    Its variables are looked up here and now; one of `data` that has no value here is left in place.

    Raises:
        RecipeError: with every problem of the file.
        PluginError: a module of `plugins` cannot be imported.
        TrustError: it would import a plugin or run a command, and the user has not allowed it.
    """
    tables = as_written(parse(path))
    tables.pop("output", None)  # the run lies where it was found
    data = tables.get("data")
    if is_table(data) and isinstance(data.get("cache_dir"), str) and unset_in(data["cache_dir"]):
        del data["cache_dir"]  # of a job that is over
    _check_plugins(tables, str(path))
    check_commands(tables, str(path))
    return resolve(tables, str(path), later=True)


def _check_plugins(tables: Mapping[str, Any], source: str) -> None:
    plugins = tables.get("plugins", ())
    if is_list(plugins):
        check_plugins([module for module in plugins if isinstance(module, str)], source)


def parse(path: str | Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        RecipeError: there is no such file, or it is not TOML in UTF-8.
    """
    try:
        return read_toml(path)
    except FileNotFoundError as error:
        raise RecipeError(str(path), [Problem("", "there is no such file")]) from error
    except OSError as error:
        raise RecipeError(str(path), [Problem("", f"cannot be read: {error.strerror}")]) from error
    except ValueError as error:
        raise RecipeError(str(path), [Problem("", str(error))]) from error


def override(table: Mapping[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """Merge `a.b=c` into the tables; a value is TOML, or a string if it is not.

    Raises:
        RecipeError: an assignment without `=`, or a path through something that is not a table.
    """
    merged = copy.deepcopy(dict(table))
    for assignment in assignments:
        path, separator, text = assignment.partition("=")
        keys = [key.strip() for key in path.split(".")]
        if not separator or not all(keys) or len(keys) > DEEPEST:
            problem = Problem("", f"'{assignment}' is not of the form path.to.key=value")
            raise RecipeError(argument("overrides"), [problem])
        put(merged, keys, toml_value(text.strip()), assignment)
    return merged


def resolve(table: Mapping[str, Any], source: str = "recipe", *, later: bool = False) -> Recipe:
    """Check the tables, fill in every default and variable, and return the recipe. Makes no module.

    Raises:
        RecipeError: with every problem found; a ContradictionError if every key is right by itself.
        PluginError: a module of `plugins`, or the entry point of a component, cannot be imported.
    """
    table, unset = expand(_with_fallbacks(table), later=later)
    plugins = table.get("plugins", ())
    try:
        if is_list(plugins) and all(isinstance(module, str) for module in plugins):
            load_plugins(plugins)
        schema, problems = _schema_for(table)
        problems = [*unset, *problems]
    except PluginError as error:
        raise PluginError(f"{source}: {error}") from error
    recipe, more = validate(schema, table)
    problems = [*problems, *(problem for problem in more if problem.path not in {known.path for known in problems})]
    if problems:
        raise RecipeError(source, problems)
    assert isinstance(recipe, Recipe)
    if problems := list(contradictions(recipe)):
        raise ContradictionError(source, problems)
    return recipe


def dump(recipe: Recipe) -> str:
    """The resolved recipe as TOML, with its variables and not their values, which may be secret."""
    return tomli_w.dumps(as_written(recipe.to_dict()), multiline_strings=False)


def dump_for_people(recipe: Recipe) -> str:
    """The resolved recipe as TOML in which comments name the options that are not set; it resolves to the same."""
    mark = "is not set: TOML has no null"
    text = tomli_w.dumps(as_written(recipe.to_dict(unset=mark)), multiline_strings=False)
    text = re.sub(rf', [\w-]+ = "{mark}"', "", text)  # inside of an inline table, where no comment can stand
    return re.sub(rf'^([\w-]+) = "{mark}"$', r"# \1 is not set", text, flags=re.MULTILINE)


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Dotted keys whose values differ between two resolved recipes' tables: (old, new), None where absent."""
    before, after = dict(flat(dict(old))), dict(flat(dict(new)))
    keys = [*before, *(key for key in after if key not in before)]
    return {key: (before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)}


def _with_fallbacks(table: Mapping[str, Any]) -> dict[str, Any]:
    """Fallbacks for absent tables, and the short form `objective = "bce"` written out."""
    full = copy.deepcopy(dict(table))
    for key, fallback in FALLBACKS.items():
        if key not in full:
            full[key] = copy.deepcopy(fallback)
        elif key == "optimizer" and is_table(full[key]):
            full[key] = {**copy.deepcopy(fallback), **full[key]}
    for place in PLACES:
        *parents, last = place.path
        parent: Any = full
        for key in parents:
            parent = parent.get(key) if is_table(parent) else None
        if not is_table(parent) or last not in parent:
            continue
        value = parent[last]
        if place.is_list and is_list(value):
            parent[last] = [{"name": item} if isinstance(item, str) else item for item in value]
        elif isinstance(value, str) and not place.is_list:
            parent[last] = {"name": value}
    return full


def _schema_for(table: Mapping[str, Any]) -> tuple[type[Recipe], list[Problem]]:
    """`Recipe` with each component's own options in place, and what is wrong with the names."""
    problems: list[Problem] = []
    fields: dict[str, dict[str, Any]] = {"": {}}
    for place in PLACES:
        value: Any = table
        for key in place.path:
            value = value.get(key) if is_table(value) else None
        if value is None:
            continue
        if place.is_list:
            if not is_list(value):
                continue  # the base's `tuple[..., ...]` says what is wrong
            models = [_table_model(place, item, (*place.path, str(i)), problems) for i, item in enumerate(value)]
            annotation: Any = tuple[tuple(models)] if models else tuple[()]
            field = (annotation, ())
        else:
            field = (_table_model(place, value, place.path, problems), ...)
        *parents, last = place.path
        fields.setdefault(parents[0] if parents else "", {})[last] = field
    top = fields.pop("")
    for parent, inner in fields.items():
        base_model = {"optimizer": OptimizerTables, "evaluation": EvaluationTable, "health": HealthTable}[parent]
        top[parent] = (create_model(base_model.__name__, __base__=base_model, **inner), ...)
    return create_model("Recipe", __base__=Recipe, **top), problems


def _table_model(place: Place, value: Any, path: tuple[str, ...], problems: list[Problem]) -> type[ComponentTable]:
    """The framework's keys and the component's options as one model; any keys if the name is unknown."""
    kind = place.kind
    name = value.get("name") if is_table(value) else None
    if isinstance(name, str):
        try:
            component = kind.get(name)
        except RegistryError as error:
            problems.append(Problem(dotted((*path, "name")), str(error)))
        else:
            return component.table(place.table)
    elif is_table(value):
        detail = "is missing" if name is None else "must be a string"
        problems.append(Problem(dotted((*path, "name")), f"{detail}; {kind.plural}: {', '.join(kind.names())}"))
    else:
        problems.append(Problem(dotted(path), f"must be a table with a 'name', or the name of a {kind.name}"))
    return _Anything


class _Anything(ComponentTable):
    """Stands for a component whose name is unknown, so that its options raise no further noise."""

    model_config = ConfigDict(extra="allow")
    name: Any = None
