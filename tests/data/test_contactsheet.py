"""The sheet of `ganforge data inspect`: about square, whatever the classes."""

import numpy as np
import pytest

from ganforge.data.contactsheet import contact_sheet, lines_of


@pytest.mark.parametrize("classes", [0, 1, 2, 3, 10, 20, 100])
@pytest.mark.parametrize("count", [1, 5, 64, 200])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (24, 48)])
def test_the_sheet_is_no_strip_and_shows_every_picture_once(classes: int, count: int, height: int, width: int) -> None:
    labels = np.arange(count) % classes if classes else None
    lines = lines_of(labels, count, height, width)
    assert sorted(number for line in lines for number in line) == list(range(count))
    sheet = contact_sheet(np.zeros((count, height, width, 3), np.uint8), lines)
    if count >= 64:
        assert max(sheet.size) <= 2.5 * min(sheet.size)


def test_a_class_begins_a_line_and_takes_as_many_as_it_needs() -> None:
    labels = np.arange(64) % 3
    lines = lines_of(labels, 64, 32, 32)
    assert [{int(label) for label in labels[line]} for line in lines] == [{0}] * 3 + [{1}] * 3 + [{2}] * 3
    assert max(map(len, lines)) == 8


def test_more_classes_than_lines_follow_each_other() -> None:
    lines = lines_of(np.arange(64), 64, 32, 32)
    assert [len(line) for line in lines] == [8] * 8
