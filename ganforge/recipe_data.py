"""Other data for a recipe whose data lie in shards."""

from collections.abc import Mapping
from typing import Any

from ganforge.errors import Problem, RecipeError
from ganforge.nested import is_table


def dataset_name(tables: Mapping[str, Any]) -> str | None:
    """The dataset that a recipe's tables name, in either form; None if there is none."""
    data = tables.get("data")
    name = data.get("name") if is_table(data) else data
    return name if isinstance(name, str) else None


def with_data(tables: Mapping[str, Any], path: str | None, source: str) -> dict[str, Any]:
    """The tables of a recipe with `data.path` set; as they are if there is no path.

    Raises:
        RecipeError: its data are no shards, so that more than the path would have to change.
    """
    if path is None:
        return dict(tables)
    name = dataset_name(tables)
    if name != "shards":
        remedy = f"`ganforge new mine.toml --like {source} --data {path}` writes a recipe like it that trains on shards"
        raise RecipeError(source, [Problem("data", f"'{name}' takes no path; {remedy}")])
    data = tables["data"]
    return {**tables, "data": {**(data if is_table(data) else {"name": name}), "path": path}}
