"""Values out of tables that somebody else may have written: of the kind that is asked for, or not there."""

from collections.abc import Mapping
from typing import Any

MOST = 1e300
"""A number beyond it is damage; sums and products of what is below do not raise."""


def value_at(table: Any, *path: str) -> Any:
    """What stands at a path, or None where it leads nowhere."""
    for key in path:
        table = table.get(key) if isinstance(table, Mapping) else None
    return table


def is_number(value: Any) -> bool:
    """Whether it is a finite number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -MOST < value < MOST


def number(table: Any, *path: str) -> float | None:
    value = value_at(table, *path)
    return value if is_number(value) else None


def whole(table: Any, *path: str) -> int | None:
    """A whole number from 0 on."""
    value = value_at(table, *path)
    return value if type(value) is int and 0 <= value < 2**63 else None


def text(table: Any, *path: str) -> str | None:
    value = value_at(table, *path)
    return value if isinstance(value, str) else None


def table_at(table: Any, *path: str) -> Mapping[str, Any]:
    """The table there; an empty one where there is none."""
    value = value_at(table, *path)
    return value if isinstance(value, Mapping) else {}


def tables_at(table: Any, *path: str) -> list[Mapping[str, Any]]:
    """The tables of a list, by their places in it; an empty one for what is not a table."""
    value = value_at(table, *path)
    items = value if isinstance(value, list | tuple) else ()
    return [item if isinstance(item, Mapping) else {} for item in items]
