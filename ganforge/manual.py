"""What `ganforge show` says of a recipe's own tables, and of the keys that every component of a kind takes."""

import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic.fields import FieldInfo

from ganforge.option_docs import option_docs, type_name
from ganforge.option_problems import model_in
from ganforge.options import OptionsModel
from ganforge.recipe import FALLBACKS, PLACES
from ganforge.registry import Component, Kind
from ganforge.tables import Recipe


@dataclass(frozen=True)
class Row:
    """One key as the manual's columns have it; `default` is None where the recipe has to give a value."""

    key: str
    type: str
    default: str | None
    what: str


@dataclass(frozen=True)
class Table:
    """One table of a recipe.

    Args:
        name: dotted, as in its header; `recipe` for what stands above all headers.
        keys: the framework's keys in it.
        holds: the kind of component that it names, whose own options stand in it too.
        is_list: whether there may be several.
    """

    name: str
    keys: type[OptionsModel]
    holds: Kind | None = None
    is_list: bool = False

    @property
    def header(self) -> str:
        """As TOML has it."""
        return f"[[{self.name}]]" if self.is_list else f"[{self.name}]"

    @property
    def doc(self) -> str:
        """What it is."""
        return inspect.getdoc(self.keys) or ""

    def rows(self) -> list[Row]:
        """Its keys; a table below it is a row with that table's header."""
        docs = {key: text for base in reversed(self.keys.__mro__) for key, text in option_docs(base).items()}
        return list(_rows(self.keys, docs, "" if self.name == "recipe" else f"{self.name}."))


def recipe_tables() -> dict[str, Table]:
    """Every table that a recipe may have, by name."""
    return {"recipe": Table("recipe", Recipe), **{table.name: table for table in _below(Recipe, "")}}


def _below(model: type[OptionsModel], path: str) -> Iterator[Table]:
    kinds = {".".join(place.path): place.kind for place in PLACES}
    for key, field in model.model_fields.items():
        if (inner := _table_in(field)) is not None:
            name = f"{path}{key}"
            yield Table(name, inner, kinds.get(name), is_list=type_name(field.annotation).startswith("tuple["))
            yield from _below(inner, f"{name}.")


def tables_called(name: str) -> list[Table]:
    """The table of this name, else those whose name ends so, as `wandb` for `tracking.wandb`."""
    tables = recipe_tables()
    if name in tables:
        return [tables[name]]
    return [table for table in tables.values() if table.name.endswith(f".{name}")]


def own_rows(component: Component) -> list[Row]:
    """A component's own options."""
    return list(_rows(component.options, component.option_docs))


def shared_rows(kind: Kind) -> list[Row]:
    """The keys that every component of a kind takes beside its own."""
    table = next((table for table in recipe_tables().values() if table.holds is kind), None)
    return [row for row in table.rows() if row.key != "name"] if table is not None else []


def _rows(model: type[OptionsModel], docs: Mapping[str, str], path: str = "") -> Iterator[Row]:
    for key, field in model.model_fields.items():
        inner = _table_in(field)
        if inner is None:
            default = None if field.is_required() else "" if field.default is None else json.dumps(field.default)
            yield Row(key, type_name(field.rebuild_annotation()), default, docs.get(key, ""))
        else:
            table = next(table for table in _below(model, path) if table.name == f"{path}{key}")
            is_required = field.is_required() and table.name.partition(".")[0] not in FALLBACKS
            yield Row(key, table.header, None if is_required else "", docs.get(key) or table.doc.partition("\n\n")[0])


def _table_in(field: FieldInfo) -> type[OptionsModel] | None:
    inner = model_in(field.annotation)
    return inner if inner is not None and issubclass(inner, OptionsModel) else None
