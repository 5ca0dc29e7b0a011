"""A component's options for people: what its docstring says of each, and its type as a person writes it."""

import inspect
import json
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any

from docstring_parser import parse as parse_docstring


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
