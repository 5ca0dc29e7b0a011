"""`ganforge show`: every key that a recipe may hold has its place in the manual."""

from collections.abc import Callable
from typing import Any

import pytest

from ganforge.loader_options import LoaderOptions
from ganforge.manual import recipe_tables, shared_rows, tables_called
from ganforge.registry import register
from ganforge.tables import TrainingTable


@pytest.mark.parametrize("table", recipe_tables().values(), ids=lambda table: table.name)
def test_every_key_of_every_table_says_what_it_does(table) -> None:
    assert table.doc
    for row in table.rows():
        assert row.what, f"{table.name}.{row.key}"
        assert row.type


def test_nested_tables_are_found_by_dotted_or_last_name() -> None:
    assert [table.name for table in tables_called("tracking.wandb")] == ["tracking.wandb"]
    assert tables_called("wandb") == tables_called("tracking.wandb")
    assert [table.header for table in tables_called("ramps")] == ["[[ramps]]"]
    assert [table.header for table in tables_called("generator")] == ["[generator]"], "an exact name is enough"


@pytest.mark.parametrize("kind", register.kinds().values(), ids=lambda kind: kind.name)
def test_the_keys_that_a_kind_shares_are_those_that_its_components_may_not_take(kind) -> None:
    assert {row.key for row in shared_rows(kind)} == set(kind.reserved) - {"name"}


def test_show_prints_a_table(ganforge: Callable[..., Any]) -> None:
    out = ganforge("show", "training").out
    assert "table [training]: The alternation and its arithmetic." in out
    rows = {line.split("│")[1].strip(): line.split("│")[2:] for line in out.splitlines() if "│" in line}
    assert set(TrainingTable.model_fields) <= set(rows)
    assert rows["steps"][1].strip() == "required"
    assert rows["ema"][1].strip() == "10000.0"


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (("r1",), ("gamma", "every penalty also takes", "interval", "weight")),
        (("shards",), ("every dataset also takes", "cache_dir", *LoaderOptions.model_fields)),
        (("dcgan", "--kind", "discriminator"), ("packing",)),
        (("adam",), ("every optimizer also takes", "clip_norm", "warmup", "decay")),
        (("recipe",), ("seed", "[performance]", "[[penalties]]", "the loss of both players")),
        (("generator",), ("ganforge list generator",)),
    ],
)
def test_show_names_what_belongs_to_the_framework(ganforge: Callable[..., Any], arguments, keys) -> None:
    out = ganforge("show", *arguments).out
    for key in keys:
        assert key in out


def test_list_names_the_tables(ganforge: Callable[..., Any]) -> None:
    out = " ".join(ganforge("list").out.split())
    for name in recipe_tables():
        assert f" {name}," in f"{out}," or f" {name} " in f"{out} "
