"""Every registered component of every kind documents itself: `ganforge show` has no other source."""

import inspect
import json
import re

import pytest
import tomli_w

from ganforge.options import validate
from ganforge.registry import Component, register

COMPONENTS = [component for kind in register.kinds().values() for component in kind.loaded()]
REQUIRED = {"path": "data/shards"}
PUBLISHED = ("generator", "discriminator", "objective", "penalty", "optimizer", "augment")


def identity(component: Component) -> str:
    return f"{component.kind}-{component.name}"


everyone = pytest.mark.parametrize("component", COMPONENTS, ids=identity)


def test_every_kind_has_a_built_in() -> None:
    """And so the other tests here do look at something."""
    assert {component.kind for component in COMPONENTS} == set(register.kinds())


@everyone
def test_first_line_of_the_docstring_is_one_sentence(component: Component) -> None:
    assert component.summary.endswith("."), "its docstring's first line is what `ganforge list` prints"
    assert len(component.summary) <= 120


@everyone
def test_every_option_is_documented_and_nothing_else(component: Component) -> None:
    documented = set(component.option_docs) - set(component.supplied)
    assert documented == set(component.options.model_fields)
    assert all(len(text) > 3 for text in component.option_docs.values())


@pytest.mark.parametrize(
    "component", [component for component in COMPONENTS if component.kind in PUBLISHED], ids=identity
)
def test_published_methods_name_authors_and_year(component: Component) -> None:
    text = (inspect.getdoc(component.factory) or "").split("Args:")[0]
    assert re.search(r"[A-ZÀ-Þ]\w+[^()]{0,40}\b(19[5-9]\d|20\d\d)\b", text), "say whose method it is, and the year"


@everyone
def test_options_come_back_from_toml_as_they_were(component: Component) -> None:
    required = {name: REQUIRED[name] for name, field in component.options.model_fields.items() if field.is_required()}
    defaults = component.options(**required)
    table = defaults.model_dump(mode="json", exclude_none=True)
    tomli_w.dumps(table)
    again, problems = validate(component.options, json.loads(json.dumps(table)))
    assert problems == []
    assert again == defaults


@everyone
def test_a_wrong_option_is_refused(component: Component) -> None:
    options, problems = validate(component.options, {"no_such_option": 1})
    assert options is None
    assert any(str(problem).startswith("no_such_option: unknown key") for problem in problems)
