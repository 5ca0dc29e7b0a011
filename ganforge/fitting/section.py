"""A table of a recipe with the reason for it, and how both are written."""

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import tomli_w

from ganforge.nested import is_list, is_table

WIDTH = 120
"""Columns of a comment."""


@dataclass(frozen=True)
class Section:
    """One table.

    Args:
        header: its dotted name, with brackets of its own where there may be several: `training`, `[augment]`; empty for
            a comment alone.
        values: its keys.
        why: paragraphs of the comment above it.
    """

    header: str
    values: Mapping[str, Any] = field(default_factory=dict)
    why: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """As they stand in the file."""
        heading = [f"[{self.header}]"] if self.header else []
        pairs = [f"{key} = {inline(value)}" for key, value in self.values.items()]
        return [*(line for text in self.why for line in comment(text)), *heading, *pairs]


def comment(text: str) -> list[str]:
    """A paragraph as comments of TOML, which may hold no control characters: a path may have any."""
    plain = re.sub(r"[^ -~]", lambda found: found[0] if found[0].isprintable() else "?", text)
    return [f"# {line}" for line in textwrap.wrap(plain, WIDTH - 2, break_long_words=False, break_on_hyphens=False)]


def inline(value: Any) -> str:
    """A value on one line; large whole numbers in groups of three digits."""
    if is_table(value):
        return f"{{ {', '.join(f'{key} = {inline(item)}' for key, item in value.items())} }}"
    if is_list(value) or isinstance(value, tuple):
        return f"[{', '.join(inline(item) for item in value)}]"
    if type(value) is int:
        return f"{value:_}" if value >= 10_000 else str(value)
    return tomli_w.dumps({"value": value}).partition("=")[2].strip()
