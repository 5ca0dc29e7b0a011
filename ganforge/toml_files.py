"""TOML from bytes that anybody may have written: what is wrong is said in one sentence."""

import codecs
import math
import tomllib
from pathlib import Path
from typing import Any

LARGEST = 4 << 20
"""Bytes of a file; a recipe has a few thousand."""

DEEPEST = 32
"""Tables and lists in each other; a recipe has four."""

TOO_DEEP = f"has more than {DEEPEST} tables or lists in each other"

MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


def read_toml(path: str | Path) -> dict[str, Any]:
    """The tables of a file.

    Raises:
        OSError: it cannot be read.
        ValueError: with a sentence: it is not UTF-8, not TOML, too large or nested too deeply.
    """
    with open(path, "rb") as file:
        content = file.read(LARGEST + 1)  # what is named may have no end
    if len(content) > LARGEST:
        raise ValueError(f"is larger than {LARGEST >> 20} MB")
    return tables_of(decoded(content))


def decoded(content: bytes) -> str:
    """UTF-8, with or without a byte order mark.

    Raises:
        ValueError: naming the encoding that it has, as far as that can be told, and the place.
    """
    for mark, name in MARKS:
        if content.startswith(mark):
            raise ValueError(f"is written in {name}; save it as UTF-8")
    if b"\0" in content[:4]:
        raise ValueError("is written in UTF-16 or UTF-32, or is not text; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"is not TOML: {error} (line {line}; it may be Windows-1252 or Latin-1); save it as UTF-8"
        ) from error


def tables_of(text: str) -> dict[str, Any]:
    """The tables of a text.

    Raises:
        ValueError: it is not TOML, or nested too deeply, or holds a number of thousands of digits.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"is not TOML: {_short(str(error))}") from error
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    except ValueError as error:  # Python's own, which speaks of its limit and how to raise it
        raise ValueError("is not TOML: a number has more digits than 64 bits hold, or a date is none") from error
    if _is_deeper(tables, DEEPEST):
        raise ValueError(TOO_DEEP)
    return tables


def _is_deeper(tables: dict[str, Any], limit: int) -> bool:
    level: list[Any] = [tables]
    for _ in range(limit):
        inner = [list(item.values()) if isinstance(item, dict) else item for item in level]
        level = [item for items in inner for item in items if isinstance(item, dict | list)]
    return bool(level)


def _short(message: str) -> str:
    line = " ".join(message.split())
    return line if len(line) <= 200 else f"{line[:197]}..."


def toml_value(text: str) -> Any:
    """A value as TOML has it; a string if it is none that an option may have."""
    try:
        read = tables_of(f"value = {text}")
    except ValueError:
        return text
    value = read.get("value")
    is_finite = not isinstance(value, float) or math.isfinite(value)
    # No option is a date or nan, but a name may read like one.
    is_known = isinstance(value, dict | list | bool | int | float | str)
    return value if len(read) == 1 and is_known and is_finite else text
