"""Numbers and names in sentences."""


def counted(number: int, one: str, many: str = "") -> str:
    """`1 shard`, `3,000 shards`; `many` where the plural is not with an s."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def printable(name: str) -> str:
    """A file's name as text that can be written; bytes of it that are not UTF-8 are escaped."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
