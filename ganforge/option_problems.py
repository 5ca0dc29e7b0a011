"""What pydantic finds wrong with a table, in our words: the key's path, what is wrong, and the remedy."""

import inspect
import json
import typing
from collections.abc import Iterable, Mapping
from typing import Any

import pydantic
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from ganforge.arguments import overriding
from ganforge.errors import Problem
from ganforge.nested import dotted
from ganforge.wording import did_you_mean


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
    return f"; write {quoted}, or {overriding(f'{key}={quoted}')}"


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


def unknown_key(key: str, known: Iterable[str]) -> str:
    """The sentence for a key that a table does not have."""
    known = sorted(known)
    hint = did_you_mean(key, known)
    if hint:
        return f"unknown key{hint}"
    return f"unknown key; known here: {', '.join(known)}" if known else "unknown key; there are no options here"
