"""Tables in tables, as TOML has them: all values by dotted key, and a value put at one."""

import os
from collections.abc import Iterable, Iterator
from typing import Any, TypeGuard, cast

from ganforge.arguments import argument
from ganforge.errors import Problem, RecipeError


def as_toml(value: Any) -> Any:
    """A value given in Python as TOML would have it: tuples as lists, paths as strings."""
    if is_table(value):
        return {key: as_toml(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_toml(item) for item in cast("Iterable[Any]", value)]
    return os.fspath(cast("os.PathLike[str]", value)) if isinstance(value, os.PathLike) else value


def is_table(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether a value of a recipe is a table; TOML's keys are strings."""
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Whether a value of a recipe is a list."""
    return isinstance(value, list)


def dotted(path: Iterable[str | int]) -> str:
    """`("penalties", 0, "gamma")` as `penalties.0.gamma`."""
    return ".".join(str(part) for part in path)


def flat(table: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Dotted keys and their values; a list of tables is entered by index, any other list is a value."""
    if is_table(table):
        for key, value in table.items():
            yield from flat(value, (*path, key))
    elif is_list(table) and table and is_table(table[0]):
        for index, value in enumerate(table):
            yield from flat(value, (*path, str(index)))
    else:
        yield dotted(path), table


def put(table: Any, keys: list[str], value: Any, assignment: str) -> None:
    """Set one value in place, making the tables on its way.

    Args:
        table: the outermost one.
        keys: names, and positions in lists.
        value: to be set.
        assignment: what the user wrote, for the error.

    Raises:
        RecipeError: the way leads through something that is no table, or past the end of a list.
    """
    for depth, key in enumerate(keys):
        is_last = depth == len(keys) - 1
        if is_list(table):
            if not key.isdigit() or int(key) >= len(table):
                place = dotted(keys[:depth])
                raise RecipeError(
                    argument("overrides"),
                    [Problem("", f"'{assignment}': {place} is a list of {len(table)}; '{key}' is not in it")],
                )
            index: Any = int(key)
        elif is_table(table):
            index = key
        else:
            raise RecipeError(
                argument("overrides"), [Problem("", f"'{assignment}': {dotted(keys[:depth])} is not a table")]
            )
        if is_last:
            table[index] = value
            return
        if is_table(table):
            table.setdefault(index, {})
        if isinstance(table[index], str):  # the short form of a component, `objective = "bce"`
            table[index] = {"name": table[index]}
        table = table[index]
