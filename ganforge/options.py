"""A component's signature is its schema.

What stands after `*` in a component's signature becomes a frozen, strict pydantic model: TOML
values are checked against the annotations, a misspelt key gets a suggestion, and the defaults are
filled in. Nothing here knows what a component does.
"""

import inspect
import json
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pydantic
from pydantic import ConfigDict, create_model

from ganforge.errors import Problem, RegistryError
from ganforge.nested import dotted, is_list, is_table
from ganforge.option_docs import type_name
from ganforge.option_problems import problems_of


class OptionsModel(pydantic.BaseModel):
    """Base of every table of a recipe: strict types, no unknown keys, no changes after validation."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False, protected_namespaces=()
    )


def signature_parts(component: Callable[..., Any], where: str) -> tuple[list[str], list[inspect.Parameter]]:
    """Split a component's parameters at `*`: (names the framework supplies, options of the recipe).

    Raises:
        RegistryError: `*args`, `**kwargs`, an option without annotation, or one with a name that no table can have.
    """
    supplied: list[str] = []
    options: list[inspect.Parameter] = []
    for parameter in inspect.signature(component).parameters.values():
        if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            raise RegistryError(f"{where}: takes {parameter}; name every option after a bare '*' instead")
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            supplied.append(parameter.name)
        elif parameter.annotation is inspect.Parameter.empty:
            raise RegistryError(
                f"{where}: option '{parameter.name}' has no annotation, so that no recipe can be checked; give it one"
            )
        elif parameter.name.startswith("_") or hasattr(OptionsModel, parameter.name):
            raise RegistryError(f"{where}: '{parameter.name}' cannot be the name of an option; rename it")
        else:
            options.append(parameter)
    return supplied, options


def options_model(component: Callable[..., Any], where: str) -> type[OptionsModel]:
    """The options of a component as a pydantic model, built from its keyword-only parameters.

    Raises:
        RegistryError: the signature cannot be a schema, or a default does not fit its annotation.
    """
    _, parameters = signature_parts(component, where)
    function = component.__init__ if inspect.isclass(component) else component
    try:
        annotations = typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise RegistryError(f"{where}: an annotation cannot be resolved ({error})") from error
    fields: dict[str, Any] = {}
    for parameter in parameters:
        annotation = annotations[parameter.name]
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        if _accepts_none(annotation) and default is not None:
            raise RegistryError(
                f"{where}: option '{parameter.name}' may be None, so None must be its default; TOML has no null"
            )
        fields[parameter.name] = (annotation, default)
        _check_annotation(annotation, default, f"{where}: option '{parameter.name}'")
    return create_model(f"{where} options", __base__=OptionsModel, **fields)


def _check_annotation(annotation: Any, default: Any, where: str) -> None:
    try:
        adapter = pydantic.TypeAdapter(annotation, config=ConfigDict(strict=True, allow_inf_nan=False))
    except pydantic.PydanticUserError as error:
        raise RegistryError(f"{where} has a type that no recipe can write: {type_name(annotation)}") from error
    try:
        if default is not ...:
            adapter.validate_python(default)
    except pydantic.ValidationError as error:
        text = error.errors()[0]["msg"].removeprefix("Value error, ").replace("Input should", "should")
        raise RegistryError(f"{where} has a default that does not fit, {default!r}: {text}") from error


def _accepts_none(annotation: Any) -> bool:
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    is_union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return is_union and type(None) in typing.get_args(annotation)


def validate(
    model: type[OptionsModel], table: Mapping[str, Any], path: tuple[str, ...] = ()
) -> tuple[OptionsModel | None, list[Problem]]:
    """Check a TOML table against a model: the validated options, or every problem with its dotted path.

    JSON is the detour that lets strict mode take a TOML list for a tuple.
    """
    problems = list(_unrepresentable(dict(table), path))
    if problems:
        return None, problems
    try:
        return model.model_validate_json(json.dumps(table), strict=True), []
    except pydantic.ValidationError as error:
        return None, problems_of(error, path, model)


def _unrepresentable(value: Any, path: tuple[str, ...]) -> Iterable[Problem]:
    if is_table(value):
        for key, item in value.items():
            yield from _unrepresentable(item, (*path, key))
    elif is_list(value):
        for index, item in enumerate(value):
            yield from _unrepresentable(item, (*path, str(index)))
    elif isinstance(value, float) and not math.isfinite(value):
        yield Problem(dotted(path), f"{value} is not a finite number")
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        yield Problem(dotted(path), "is a number that 64 bits do not hold, and TOML has no larger ones")
    elif isinstance(value, str) and "\0" in value:
        yield Problem(dotted(path), "holds a character of code 0, which no name and no path can have")
    elif not isinstance(value, bool | int | float | str):
        yield Problem(dotted(path), f"a {type(value).__name__} has no place in a recipe; write it as a string")
