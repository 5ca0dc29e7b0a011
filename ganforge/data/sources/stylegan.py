"""`dataset.json` as StyleGAN's dataset tool writes it (Karras et al. 2020): a label a picture, by its name.

    {"labels": [["00000/img00000000.png", 3], ...]}, or {"labels": null}

The folders `00000/`, `00001/` beside it only keep folders small: they are no classes.
"""

from collections.abc import Callable, Sequence
from typing import Any

from ganforge.arguments import argument
from ganforge.data.classes import Label, Labelling, folder_classes, label_classes, path_parts, tolerated, unlabelled
from ganforge.data.plainjson import parse_json
from ganforge.errors import DataError

FILE_NAME = "dataset.json"
WITHOUT_LABELS = f"mend it or pack with {argument('labels', False)}"
_DEEPEST = 64
"""Levels of folders around all pictures that are looked through; a name from an archive may have any number."""
_LARGEST_LABEL = 2**63 - 1


def most_bytes(count: int) -> int:
    """Size of the largest `dataset.json` that is read, by the number of pictures: each has a line in it."""
    return 1_000_000 + 4096 * count


def find_table(names: Sequence[str], exists: Callable[[str], bool]) -> str:
    """Where the `dataset.json` of these pictures lies: at the top, or in a folder around them all; empty if nowhere."""
    folders = [path_parts(name)[:-1] for name in names]
    around = min(folders, key=len) if folders else []
    depth = next((d for d in range(len(around)) if any(f[d] != around[d] for f in folders)), len(around))
    places = ("/".join([*around[:level], FILE_NAME]) for level in range(min(depth, _DEEPEST) + 1))
    return next((place for place in places if exists(place)), "")


def read_labels(names: Sequence[str], table_name: str, text: bytes | None, where: str) -> Labelling:
    """Classes of pictures by StyleGAN's `dataset.json` where there is one, else by their folders.

    Args:
        names: of the pictures, with `/`.
        table_name: name of the `dataset.json`; the labels' names begin in its folder.
        text: its content, None without one.
        where: for messages.

    Raises:
        DataError: the table is damaged, contradicts itself, or has no label for many pictures.
    """
    if text is None:
        return folder_classes(names)
    listed = _listed(text, len(names), where)
    if listed is None:
        found = folder_classes(names)
        return found._replace(rule=f"{found.rule}; {table_name} has no 'labels' and was passed by")
    if not listed:
        return unlabelled(len(names), f"no labels: {table_name} has none, and StyleGAN's folders are no classes")
    table = _table(listed, where)
    skip = len(path_parts(table_name)) - 1
    keys = ["/".join(path_parts(name)[skip:]) for name in names]
    missing = [name for name, key in zip(names, keys, strict=True) if key not in table]
    if len(missing) > tolerated(len(names)):
        raise DataError(
            f"{where}: {FILE_NAME} has no label for {len(missing):,} of {len(names):,} pictures, such as {missing[0]}; "
            f"{WITHOUT_LABELS}"
        )
    found = label_classes([table.get(key) for key in keys], table_name)
    spare = sorted(set(table) - set(keys))
    if spare:
        found = found._replace(rule=f"{found.rule}; {len(spare):,} labels in it are of no picture, such as {spare[0]}")
    return found


def _listed(text: bytes, count: int, where: str) -> Any:
    """What stands under `labels`; None if nothing does."""
    try:
        table = parse_json(text, 10_000 + 64 * count)
    except ValueError as error:
        raise DataError(f"{where}: {FILE_NAME} cannot be read: {error}; {WITHOUT_LABELS}") from None
    if not isinstance(table, dict) or "labels" not in table:
        return None
    return table["labels"] or []


def _table(listed: Any, where: str) -> dict[str, Label]:
    """Labels by name, each picture once."""
    try:
        pairs = list(listed.items()) if isinstance(listed, dict) else [(name, label) for name, label in listed]
        good = all(type(name) is str and type(label) is int and 0 <= label <= _LARGEST_LABEL for name, label in pairs)
    except (TypeError, ValueError):
        good, pairs = False, []
    if not good:
        raise DataError(f"{where}: {FILE_NAME} has labels that are not class numbers; {WITHOUT_LABELS}")
    table: dict[str, Label] = {}
    for name, label in pairs:
        key = "/".join(path_parts(name))
        if table.setdefault(key, label) != label:
            raise DataError(
                f"{where}: {FILE_NAME} lists {key} twice, with labels {table[key]} and {label}; {WITHOUT_LABELS}"
            )
    return table
