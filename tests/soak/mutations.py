"""What a disk, a kill, an editor or somebody else's program does to a file, from a seed."""

import random
from collections.abc import Callable
from typing import Any

NUMBERS: tuple[Any, ...] = (0, -1, 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 10**400, 1e30, -1e30, 1e308, 5e-324, 0.5)
HOSTILE: tuple[Any, ...] = (
    *NUMBERS, True, False, "", "x" * 5000, "a\0b", "é", "../..", "$HOME", "${NOT_SET_ANYWHERE}", "a\nb", "<script>",
    "2024", "nan", "ring", "mlp", "adam", "fid", [], [[]], [0], [1, "a"], ["x"], {}, {"a": {}}, [{"name": "x"}],
)  # fmt: skip


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where anything stands in tables and lists."""
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    found = [] if not path else [path]
    for key, inner in items:
        found.extend(paths_of(inner, (*path, key)))
    return found


def value_at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def replace_at(value: Any, path: tuple[Any, ...], new: Any) -> None:
    value_at(value, path[:-1])[path[-1]] = new


def remove_at(value: Any, path: tuple[Any, ...]) -> None:
    del value_at(value, path[:-1])[path[-1]]


def mutated_tables(tables: Any, chance: random.Random, hostile: tuple[Any, ...] = HOSTILE) -> None:
    """One to three changes in place: another value, a key that is gone, renamed or not known."""
    for _ in range(chance.randint(1, 3)):
        paths = paths_of(tables)
        if not paths:
            return
        path = chance.choice(paths)
        match chance.randrange(6):
            case 0:
                remove_at(tables, path)
            case 1:
                replace_at(tables, (*path[:-1], chance.choice(["", "naem", "a.b", "x" * 300])), 1) if isinstance(
                    path[-1], str
                ) else None
            case _:
                replace_at(tables, path, chance.choice(hostile))


def mutated_bytes(content: bytes, chance: random.Random) -> bytes:
    """One change of a file's bytes."""
    return chance.choice(BYTE_CHANGES)(content, chance)


def _flip(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content or b"x")
    for _ in range(chance.choice([1, 1, 4, 40])):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def _cut(content: bytes, chance: random.Random) -> bytes:
    begin, end = sorted(chance.randrange(len(content) + 1) for _ in range(2))
    return content[:begin] + content[end:]


def _truncate(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content) + 1)]


def _repeat(content: bytes, chance: random.Random) -> bytes:
    begin, end = sorted(chance.randrange(len(content) + 1) for _ in range(2))
    return content[:end] + content[begin:end] + content[end:]


def _insert(content: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(content) + 1)
    new = chance.choice(
        [b"\xff", b"\0" * 4096, b"\xed\xa0\x80", b"{", b"[" * 500, b"9" * 5000, b"\n\n", b'"', b"1e999"]
    )
    return content[:place] + new + content[place:]


def _line_of_other_bytes(content: bytes, chance: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    lines.insert(
        chance.randrange(len(lines) + 1), chance.choice([b"caf\xe9 = 1\n", b"\xff\xfe\n", b"null\n", b"[1]\n"])
    )
    return b"".join(lines)


def _recode(content: bytes, chance: random.Random) -> bytes:
    text = content.decode("utf-8", "replace")
    return text.encode(chance.choice(["utf-16", "utf-16-le", "utf-32", "utf-8-sig"]))


def _replace(content: bytes, chance: random.Random) -> bytes:
    return chance.choice([b"", b"\n", b"\0" * 1000, b"{}", b"[]", b"null", b"\xff" * 100, b"1" * 5000, b"[" * 100_000])


def _shuffle(content: bytes, chance: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    chance.shuffle(lines)
    return b"".join(lines)


BYTE_CHANGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _flip, _cut, _truncate, _repeat, _insert, _line_of_other_bytes, _recode, _replace, _shuffle,
)  # fmt: skip
