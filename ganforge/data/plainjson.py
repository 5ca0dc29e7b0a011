"""JSON of unknown origin: no deeper, longer or more ambiguous than what is expected of it."""

import json
from typing import Any

MOST_VALUES = 2_000_000


def parse_json(data: bytes, most_values: int = MOST_VALUES) -> Any:
    """The value that a JSON text stands for.

    Args:
        data: UTF-8.
        most_values: bound on commas and brackets, and so on the memory that the value takes: an empty list
            is two bytes of text and 64 of memory.

    Raises:
        ValueError: it is no JSON, has more values, a key twice in one object, or NaN; the text says which.
    """
    if sum(data.count(mark) for mark in (b",", b"[", b"{")) > most_values:
        raise ValueError(f"it has more than {most_values:,} values")
    try:
        return json.loads(data, object_pairs_hook=_unambiguous, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise ValueError(f"it has the key '{twice[:40]}' twice")
    return table


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
