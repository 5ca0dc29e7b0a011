"""Numbers in sentences."""


def counted(number: int, one: str, many: str = "") -> str:
    """`1 shard`, `3,000 shards`; `many` where the plural is not with an s."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
