"""Every component documents itself, for `ganforge show` has no other source, and its options survive a recipe."""

import re
import tomllib
from typing import Any

import pytest

from ganforge.nested import is_list
from ganforge.options import validate
from ganforge.recipe import PLACES, dump, resolve
from ganforge.registry import Component, register
from ganforge.testing.small import is_translator, options_of
from ganforge.translation_problems import PAIRS

every_component = pytest.mark.ganforge_components()

PUBLISHED = ("generator", "discriminator", "objective", "penalty", "augment", "optimizer")
NETWORKS = ("generator", "discriminator")


@every_component
def test_first_line_of_the_docstring_is_one_sentence(component: Component) -> None:
    assert component.summary.endswith("."), "its docstring's first line is what `ganforge list` prints"
    assert len(component.summary) <= 120


@every_component
def test_every_option_is_documented_and_nothing_else(component: Component) -> None:
    documented = set(component.option_docs) - set(component.supplied)
    assert documented == set(component.options.model_fields), "`Args:` lists what the recipe can set"
    assert all(len(text) > 3 for text in component.option_docs.values())


@pytest.mark.ganforge_components(*PUBLISHED)
def test_a_method_names_its_authors_and_year(component: Component) -> None:
    text = component.doc.split("Args:")[0]
    assert re.search(r"[A-ZÀ-Þ]\w+[^()]{0,40}\b(19[5-9]\d|20\d\d)\b", text), "say whose method it is, and the year"


@pytest.mark.ganforge_components(*NETWORKS)
def test_a_network_names_the_shapes_of_what_it_takes_and_gives(component: Component) -> None:
    text = component.doc
    assert re.search(r"\(batch\b", text), "say which shapes it maps to which, such as `(batch, latent_dim)`"


@every_component
def test_a_wrong_option_is_refused(component: Component) -> None:
    options, problems = validate(component.options, {"no_such_option": 1})
    assert options is None
    assert any(str(problem).startswith("no_such_option: unknown key") for problem in problems)


@every_component
def test_options_come_back_from_a_recipe_as_they_were(component: Component) -> None:
    """Resolved, written as TOML and read again: in every place where the component may stand."""
    table = options_of(component).model_dump(mode="json", exclude_none=True)
    places = [(place.path, place.is_list) for place in PLACES if place.kind.name == component.kind]
    assert places
    for path, takes_several in places:
        recipe = resolve(_recipe(path, {"name": component.name, **table}, takes_several))
        again = resolve(tomllib.loads(dump(recipe)))
        assert again == recipe
        found = _at(again.to_dict(), path, takes_several)
        assert {name: found[name] for name in table} == table


def _recipe(path: tuple[str, ...], table: dict[str, Any], takes_several: bool) -> dict[str, Any]:
    """The smallest recipe, with a component in one place."""
    recipe: dict[str, Any] = {
        "name": "place",
        "data": {"name": "ring"},
        "generator": {"name": "mlp"},
        "discriminator": {"name": "mlp"},
        "training": {"steps": 1},
    }
    *parents, last = path
    parent = recipe
    for key in parents:
        parent = parent.setdefault(key, {})
    parent[last] = [table] if takes_several else table
    return recipe | _source(path, table)


def _source(path: tuple[str, ...], table: dict[str, Any]) -> dict[str, Any]:
    """What a translation needs beside the component, where its place or itself makes the game one."""
    translator, other = {"name": "unet_translator"}, {"name": "digits"}
    if path == ("generator",) and is_translator(register.generator.get(table["name"])):
        return {"degrade": [{"name": "blur"}]}
    if path[-1] in ("degrade", "domain"):
        return {"generator": translator, **({"domain": other} if path[0] == "evaluation" else {})}
    return {"generator": translator} if path == ("data",) and table["name"] == PAIRS else {}


def _at(recipe: dict[str, Any], path: tuple[str, ...], takes_several: bool) -> dict[str, Any]:
    value: Any = recipe
    for key in path:
        value = value[key]
    if takes_several:
        assert is_list(value)
        return value[0]
    return value
