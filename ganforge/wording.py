"""Numbers and names in sentences."""

import difflib
from collections.abc import Iterable


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
