"""A component's signature is its schema.

What stands after `*` in a component's signature becomes a frozen, strict pydantic model: TOML
values are checked against the annotations, a misspelt key gets a suggestion, and the defaults are
filled in. Nothing here knows what a component does.
"""

import difflib
import inspect
import json
import math
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeGuard

import pydantic
from docstring_parser import parse as parse_docstring
from pydantic import ConfigDict, create_model
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from ganforge.errors import Problem, RegistryError


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


def is_table(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether a value of a recipe is a table; TOML's keys are strings."""
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Whether a value of a recipe is a list."""
    return isinstance(value, list)


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


def dotted(path: Iterable[str | int]) -> str:
    """`("penalties", 0, "gamma")` as `penalties.0.gamma`."""
    return ".".join(str(part) for part in path)


def problems_of(
    error: pydantic.ValidationError, path: tuple[str, ...], model: type[pydantic.BaseModel]
) -> list[Problem]:
    """Pydantic's findings in our words: one problem a place, with the key's path and a remedy."""
    found: dict[str, list[ErrorDetails]] = {}
    for detail in error.errors():
        # A union reports each branch below the key, named like 'float' or 'constrained-str'; keep the key itself.
        location = _keys_only(model, detail["loc"])
        found.setdefault(dotted((*path, *location)), []).append(detail)
    return [Problem(where, _message(details, model)) for where, details in found.items()]


def _keys_only(model: type[pydantic.BaseModel] | None, location: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """The part of a pydantic location that is keys and indices of the table."""
    kept: list[str | int] = []
    current: Any = model
    for part in location:
        if isinstance(part, int):
            kept.append(part)
        elif (current is not None and part in current.model_fields) or not kept or not _is_branch_name(part):
            kept.append(part)
            field = current.model_fields.get(part) if current is not None else None
            current = model_in(field.annotation) if field is not None else None
        else:
            break
    return tuple(kept)


def _is_branch_name(part: str) -> bool:
    return not part.isidentifier() or part in ("int", "float", "bool", "str", "none", "tuple", "list", "dict")


def model_in(annotation: Any) -> type[pydantic.BaseModel] | None:
    """The table that an annotation speaks of, by itself, in a list or beside None; None if it speaks of a value."""
    if inspect.isclass(annotation) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    for inner in typing.get_args(annotation):
        if (model := model_in(inner)) is not None:
            return model
    return None


def _message(details: list[ErrorDetails], model: type[pydantic.BaseModel]) -> str:
    detail = details[0]
    value = detail["input"]
    match detail["type"]:
        case "extra_forbidden":
            return unknown_key(str(detail["loc"][-1]), _keys_at(model, detail["loc"][:-1]))
        case "missing":
            return _missing(_field_at(model, detail["loc"]), detail["loc"])
        case "literal_error":
            expected = detail.get("ctx", {}).get("expected", "")
            return f"must be one of {_listed(expected)}, not {_show(value)}{_suggest_literal(value, expected)}"
        case "float_type" | "int_type" if value in ("nan", "inf", "+nan", "+inf", "-nan", "-inf"):
            return f"{value} is not a finite number"
        case kind if kind in _TYPE_NAMES:
            wanted = " or ".join(dict.fromkeys(_TYPE_NAMES.get(item["type"], item["msg"]) for item in details))
            remedy = _list_remedy(detail, model) or _string_remedy(detail, model)
            return f"must be {wanted}, not {_show(value)}{remedy}"
        case "model_type":
            field = _field_at(model, detail["loc"])
            inner = model_in(field.annotation) if field is not None else None
            keys = f" with the keys {', '.join(inner.model_fields)}" if inner is not None else ""
            return f"must be a table{keys}, not {_show(value)}"
        case "too_long" | "too_short" | "string_too_long" | "string_too_short":
            bound, sign = ("max_length", "at most") if detail["type"].endswith("long") else ("min_length", "at least")
            unit = "characters" if detail["type"].startswith("string") else "values"
            return f"must have {sign} {detail.get('ctx', {}).get(bound)} {unit}, not {len(value)}"
        case "string_pattern_mismatch":
            return f"must match {detail.get('ctx', {}).get('pattern')}, which {_show(value)} does not"
        case _:
            text = detail["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
            text = text.replace("greater than or equal to", "at least").replace("less than or equal to", "at most")
            return f"{text[0].lower()}{text[1:]}, not {_show(value)}" if text.startswith("must be") else text


_TYPE_NAMES = {
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "a string",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a table",
}


def _missing(field: FieldInfo | None, location: tuple[str | int, ...]) -> str:
    if field is None:  # a place in a list
        return "is missing; the list is too short"
    if model_in(field.annotation) is not None:
        return f"is missing; add a table [{dotted(location)}]"
    return "is missing; give it a value"


def _list_remedy(detail: ErrorDetails, model: type[pydantic.BaseModel]) -> str:
    """What to write for one name where a list of them belongs, or for `[table]` where TOML wants `[[table]]`."""
    value, where = detail["input"], dotted(detail["loc"])
    if detail["type"] not in ("tuple_type", "list_type"):
        return ""
    if isinstance(value, str):
        return f"; write [{json.dumps(value)}]"
    field = _field_at(model, detail["loc"])
    holds_tables = field is not None and model_in(field.annotation) is not None
    return f"; write [[{where}]] in place of [{where}]" if holds_tables and isinstance(value, Mapping) else ""


def _string_remedy(detail: ErrorDetails, model: type[pydantic.BaseModel]) -> str:
    """How to say that `2024` is a name and no number; a shell takes the quotes of `--set name="2024"` away."""
    value = detail["input"]
    if detail["type"] != "string_type" or not isinstance(value, bool | int | float):
        return ""
    quoted = f'"{json.dumps(value)}"'
    key = dotted(_keys_only(model, detail["loc"]))
    return f"; write {quoted}, on the command line --set '{key}={quoted}'"


def _field_at(model: type[pydantic.BaseModel], location: tuple[str | int, ...]) -> FieldInfo | None:
    """The field that a location ends at; None inside lists."""
    current: type[pydantic.BaseModel] | None = model
    field: FieldInfo | None = None
    for part in location:
        field = current.model_fields.get(part) if current is not None and isinstance(part, str) else None
        current = model_in(field.annotation) if field is not None else None
    return field


def _keys_at(model: type[pydantic.BaseModel], location: tuple[str | int, ...]) -> list[str]:
    current: type[pydantic.BaseModel] | None = model
    for part in location:
        if isinstance(part, str) and current is not None and part in current.model_fields:
            current = model_in(current.model_fields[part].annotation)
    return list(current.model_fields) if current is not None else []


def _show(value: Any) -> str:
    kinds = {str: "the string ", bool: "", dict: "a table ", list: "the list "}
    text = json.dumps(value, default=str)
    return kinds.get(value.__class__, "") + (text if len(text) <= 60 else text[:57] + "...")


def _listed(expected: str) -> str:
    return expected.replace(" or ", ", ")


def _suggest_literal(value: Any, expected: str) -> str:
    names = [part.strip(" '") for part in _listed(expected).split(",")]
    return did_you_mean(value, names) if isinstance(value, str) else ""


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or nothing when no name is near."""
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f" (did you mean '{near[0]}'?)" if near else ""


def unknown_key(key: str, known: Iterable[str]) -> str:
    """The sentence for a key that a table does not have."""
    known = sorted(known)
    hint = did_you_mean(key, known)
    if hint:
        return f"unknown key{hint}"
    return f"unknown key; known here: {', '.join(known)}" if known else "unknown key; there are no options here"


def option_docs(component: Callable[..., Any]) -> dict[str, str]:
    """The `Args:` of a component's docstring, by option."""
    parsed = parse_docstring(inspect.getdoc(component) or "")
    return {param.arg_name: " ".join((param.description or "").split()) for param in parsed.params}


def type_name(annotation: Any) -> str:
    """An annotation as a person writes it: `float >= 0`, `"batch" | "none"`, `tuple[int, ...]`."""
    if typing.get_origin(annotation) is typing.Annotated:
        inner, *extras = typing.get_args(annotation)
        return f"{type_name(inner)}{_bounds(extras)}"
    if typing.get_origin(annotation) is typing.Literal:
        return " | ".join(json.dumps(choice) for choice in typing.get_args(annotation))
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return " | ".join(type_name(part) for part in typing.get_args(annotation) if part is not type(None))
    if typing.get_args(annotation):
        inner = ", ".join("..." if part is ... else type_name(part) for part in typing.get_args(annotation))
        return f"{getattr(typing.get_origin(annotation), '__name__', annotation)}[{inner}]"
    return getattr(annotation, "__name__", None) or str(annotation)


def _bounds(extras: Iterable[Any]) -> str:
    symbols = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<", "min_length": "length >=", "max_length": "length <="}
    metadata = [item for extra in extras for item in getattr(extra, "metadata", [extra])]
    texts = [
        f" {sign} {getattr(item, key)}" for item in metadata for key, sign in symbols.items() if hasattr(item, key)
    ]
    return " and".join(texts)
