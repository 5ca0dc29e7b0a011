"""Classes from the names of folders and from the labels of others: one rule, and what it leaves out.

A few pictures without a label are left out and named; with more of them, nothing is labelled, and that is
said. Numbers with large gaps are names, not positions: labels 0, 1000 and 2000 are three classes.
"""

from collections.abc import Sequence
from typing import NamedTuple

from ganforge.arguments import argument
from ganforge.data.limits import CLASSES
from ganforge.errors import DataError
from ganforge.wording import counted

Label = int | str
_NOWHERE = frozenset(("", ".", ".."))


class Labelling(NamedTuple):
    """Classes of a source.

    Attributes:
        classes: their names in the order of their numbers; empty without labels.
        numbers: one a picture; -1 for those that have none.
        rule: which rule was applied, in a sentence.
    """

    classes: tuple[str, ...]
    numbers: list[int]
    rule: str

    @property
    def left_out(self) -> list[int]:
        """The pictures that have no class though the others have one."""
        return [place for place, number in enumerate(self.numbers) if number < 0] if self.classes else []


def tolerated(count: int) -> int:
    """How many of `count` pictures may be left out for want of a label: a tenth, or a single one."""
    return max(1, count // 10)


def check_number(count: int, origin: str) -> None:
    """Refuse more classes than any dataset has, before names are made for them.

    Raises:
        DataError: there are more.
    """
    if count > CLASSES:
        raise DataError(
            f"{origin}: {count:,} classes, and there may be {CLASSES:,}; {argument('labels', False)} takes none"
        )


def unlabelled(count: int, rule: str) -> Labelling:
    """No classes, for a reason."""
    return Labelling((), [-1] * count, rule)


def printable(name: str) -> str:
    r"""A name that can be written as UTF-8: bytes that are none are shown as `\xe9`.

    Python keeps such bytes of a file's name as lone surrogates, which JSON readers refuse.
    """
    try:
        name.encode()
        return name
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogatepass").decode("utf-8", "replace") if _is_no_file(name) else _bytes(name)


def _is_no_file(name: str) -> bool:
    return any(0xD800 <= ord(char) < 0xDC80 or 0xDCFF < ord(char) < 0xE000 for char in name)


def _bytes(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def path_parts(name: str) -> list[str]:
    """Folders and file of a member's name, with what leads nowhere left out: `/`, `.`, `..`."""
    if "\\" in name:
        name = name.replace("\\", "/")
    return [part for part in name.split("/") if part not in _NOWHERE]


def folder_classes(names: Sequence[str]) -> Labelling:
    """Classes from paths with `/`: the first folders that differ are the classes.

    Folders around all pictures are passed by, as `zip -r pets.zip pets` makes them.

    Raises:
        DataError: there are more of them than any dataset has classes.
    """
    paths = [path_parts(name)[:-1] for name in names]
    kept = list(range(len(names)))
    around: list[str] = []
    beside: list[int] = []
    while True:
        level = len(around)
        stray = [place for place in kept if len(paths[place]) == level]
        kept = [place for place in kept if len(paths[place]) > level]
        tops = {paths[place][level] for place in kept}
        if not tops:
            return unlabelled(len(names), "no labels: the pictures lie in one folder")
        if len(beside) + len(stray) > tolerated(len(names)):
            example = printable(names[stray[0]])
            folders = ", ".join(sorted(printable(top) for top in tops)[:3])
            rule = f"no labels: {len(stray):,} of {counted(len(names), 'picture')}, such as {example}, lie beside "
            return unlabelled(len(names), rule + f"{counted(len(tops), 'folder')} ({folders}), too many to leave out")
        beside += stray
        if len(tops) > 1:
            break
        around.append(tops.pop())
    check_number(len(tops), "the folders")
    where = f"below {printable('/'.join(around))}/ " if around else ""
    classes = tuple(sorted({printable(top) for top in tops}))
    place_of = {name: place for place, name in enumerate(classes)}
    number = {top: place_of[printable(top)] for top in tops}
    numbers = [-1] * len(names)
    for place in kept:
        numbers[place] = number[paths[place][level]]
    return Labelling(classes, numbers, f"labels: the {len(classes):,} folders {where}are the classes")


def label_classes(labels: Sequence[Label | None], origin: str) -> Labelling:
    """Classes from a label a picture, numbers or names.

    Args:
        labels: numbers from 0 or names; None without one.
        origin: where they come from, for the sentence.

    Raises:
        DataError: they are of more classes than any dataset has.
    """
    count = len(labels)
    cleaned = [None if isinstance(label, int) and label < 0 else label for label in labels]
    missing = [place for place, label in enumerate(cleaned) if label is None]
    if len(missing) == count:
        return unlabelled(count, f"no labels: {origin} has none")
    if len(missing) > tolerated(count):
        return unlabelled(
            count,
            f"no labels: {len(missing):,} of {counted(count, 'picture')} have none in {origin}, too many to leave out",
        )
    found = {label for label in cleaned if label is not None}
    check_number(len(found), origin)
    if all(isinstance(label, int) for label in found):
        classes, number, rule = _numbers({int(label) for label in found}, origin)
    else:
        classes = tuple(sorted({printable(str(label)) for label in found}))
        place_of = {name: place for place, name in enumerate(classes)}
        number = {label: place_of[printable(str(label))] for label in found}
        rule = f"labels: {counted(len(classes), 'class', 'classes')} by name, from {origin}"
    return Labelling(classes, [-1 if label is None else number[label] for label in cleaned], rule)


def _numbers(found: set[int], origin: str) -> tuple[tuple[str, ...], dict[Label, int], str]:
    """Numbers that are mostly there are positions; with larger gaps they are names."""
    total = max(found) + 1
    if total >= 2 * len(found) and total > len(found) + 1:
        named = sorted(found)
        rule = f"labels: {len(found):,} numbers between {named[0]} and {named[-1]} name as many classes, from {origin}"
        return tuple(map(str, named)), {label: place for place, label in enumerate(named)}, rule
    check_number(total, origin)
    rule = f"labels: {counted(total, 'class', 'classes')} by number, from {origin}"
    if total > len(found):
        empty = [number for number in range(total) if number not in found]
        rule += f"; {len(empty):,} of them, such as {empty[0]}, without a picture"
    return tuple(str(number) for number in range(total)), {label: label for label in found}, rule
