"""Which members of a foreign tar make a sample: one rule for training, `inspect` and `pack`, and what it leaves out.

The rule is WebDataset's: all up to the first dot of a file's name is the key, and members with one key are
one sample. So `v2.0.png` and `v2.1.png` are one sample `v2`, as `7.image.png` and `7.mask.png` are one sample `7`.
A sample has one picture; labels may lie apart from it.
"""

import io
import re
from collections.abc import Sequence

from ganforge.data.classes import Label, printable
from ganforge.data.limits import LABEL_BYTES, METADATA_BYTES, in_bytes
from ganforge.data.plainjson import parse_json
from ganforge.data.shards.open import picture_member
from ganforge.data.shards.tarindex import Member, Sample, shown, split_name
from ganforge.errors import DataError
from ganforge.wording import counted

_LABEL_KEYS = ("label", "class", "cls", "class_id", "label_id")
_LONGEST_NAME = 256
_LARGEST_LABEL = 2**63 - 1
_REPR_OF_BYTES = re.compile(r"""b(['"]).*\1""")


def pictures_of(samples: Sequence[Sample], image_key: str = "") -> tuple[list[Sample], tuple[str, ...]]:
    """The samples that have a picture, with labels that lie apart joined to them.

    Args:
        samples: of one tar, in order.
        image_key: see `Manifest`.

    Returns:
        the samples, and what was joined or left out, in sentences.
    """
    kept = [sample for sample in samples if picture_member(sample, image_key) >= 0]
    rest = [sample for sample in samples if picture_member(sample, image_key) < 0]
    kept, rules = _joined(kept, rest)
    alike = [] if image_key else [(sample[picture_member(sample)], _other_pictures(sample)) for sample in kept]
    lost = sum(len(others) for _, others in alike)
    if lost:
        taken, others = next(pair for pair in alike if pair[1])
        rules.append(
            f"{counted(lost, 'picture is', 'pictures are')} left out, such as {printable(others[0].name)} beside "
            f"{printable(taken.name)}: all up to the first dot is the key (WebDataset's rule), and a key has one "
            "picture; data.image_key takes another, and an unpacked folder has no keys"
        )
    return kept, tuple(rules)


def _other_pictures(sample: Sample) -> list[Member]:
    first = picture_member(sample)
    return [member for place, member in enumerate(sample) if place != first and picture_member([member]) == 0]


def _joined(kept: list[Sample], rest: list[Sample]) -> tuple[list[Sample], list[str]]:
    """Labels that do not stand beside their picture, as `tar cf x.tar *.png *.cls` puts them, found by key."""
    lone = [(member, split_name(member.name)[0]) for sample in rest for member in sample if is_label(member)]
    if not lone:
        return kept, []
    wanting = {split_name(s[0].name)[0]: place for place, s in enumerate(kept) if not any(map(is_label, s))}
    kept, joined, spare = list(kept), 0, []
    for member, key in lone:
        place = wanting.get(key)
        if place is None:
            spare.append(member)
            continue
        kept[place] = [*kept[place], member]
        joined += 1
    rules = []
    if joined:
        rules.append(f"{counted(joined, 'label')} apart from the pictures joined to them by key")
    if spare:
        rules.append(
            f"{counted(len(spare), 'label belongs', 'labels belong')} to no picture, such as {printable(spare[0].name)}"
        )
    return kept, rules


def is_label(member: Member) -> bool:
    """Whether a member can hold a label, by its name."""
    return member.extension.rsplit(".", 1)[-1].lower() in ("cls", "json")


def label_of(file: io.BufferedReader, sample: Sample, location: str) -> Label | None:
    """The label of a sample: a number or a name in `.cls`, or in one of the usual keys of `.json`.

    Raises:
        DataError: what should be a label is none.
    """
    for member in sample:
        if not is_label(member):
            continue
        is_plain = member.extension.rsplit(".", 1)[-1].lower() == "cls"
        where = f"{location}: {shown(member.name)}"
        if member.size > (LABEL_BYTES if is_plain else METADATA_BYTES):
            raise DataError(f"{where}: is {in_bytes(member.size)} large, too much for a label; mend the shard")
        file.seek(member.offset)
        data = file.read(member.size)
        if is_plain:
            return _parse(data, where)
        try:
            table = parse_json(data)
        except ValueError:
            raise _no_label(where, data) from None
        for key in _LABEL_KEYS:
            if isinstance(table, dict) and type(table.get(key)) in (int, str):
                return _checked(table[key], where)
    return None


def _checked(label: Label, where: str) -> Label:
    """A label from JSON that can be the name of a class in a manifest, which is UTF-8."""
    if isinstance(label, str):
        good = len(label) <= LABEL_BYTES and not any("\ud800" <= char <= "\udfff" for char in label)
    else:
        good = abs(label) <= _LARGEST_LABEL
    if not good:
        raise DataError(f"{where}: {str(label)[:40]!a} cannot be the name of a class; mend the shard")
    return label


def _parse(data: bytes, where: str) -> Label:
    """A number or the name of a class, in one line."""
    try:
        text = data.decode().strip()
        return int(text) if len(text) < 20 and text.lstrip("-").isdigit() else _name(text)
    except ValueError:
        raise _no_label(where, data) from None


def _name(text: str) -> str:
    if not text or len(text) > _LONGEST_NAME or not text.isprintable() or _REPR_OF_BYTES.fullmatch(text):
        raise ValueError
    return text


def _no_label(where: str, data: bytes) -> DataError:
    return DataError(f"{where}: {data[:40]!r} is not a label, neither a number nor the name of a class; mend the shard")
