"""Numbers and names in sentences."""

import difflib
import re
from collections.abc import Iterable

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""All control characters but tabs and ends of lines."""


def counted(number: int, one: str, many: str = "") -> str:
    """`1 shard`, `3,000 shards`; `many` where the plural is not with an s."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or nothing when no name is near."""
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f" (did you mean '{near[0]}'?)" if near else ""


def printable(name: str) -> str:
    """A file's name as text that can be written; bytes of it that are not UTF-8 are escaped."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def harmless(text: str) -> str:
    """A text in which no name, and no message of the system, moves the cursor of a terminal or colours a log file."""
    return _CONTROL.sub("?", text)


def ago(seconds: float) -> str:
    """An age in its largest unit: `40 s`, `3 min`, `2 h`, `5 d`."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
