"""Arguments of a call in an error's message.

A message names an argument as a program passes it, in backticks: `restart=True`. The command line shows such words as
the options that its user types (`ganforge.cli.flags`). What another command has to do is written as that command, such
as `ganforge data pack --size 64`, for either reader.
"""

from pathlib import Path
from types import EllipsisType


def argument(name: str, value: object = ...) -> str:
    """`name=value` in backticks, `name=...` where any value will do."""
    if isinstance(value, EllipsisType):
        return f"`{name}=...`"
    return f"`{name}={str(value)!r}`" if isinstance(value, str | Path) else f"`{name}={value!r}`"


def overriding(assignment: str) -> str:
    """The argument that changes one key of the recipe, such as `name=...`."""
    return f"`overrides=[{assignment!r}]`"
