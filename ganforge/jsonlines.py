"""Files of JSON objects, one a line, each with its `step`: `metrics.jsonl` and its kin.

They are streamed, for a long run's is a gigabyte, and read in whatever state a kill, a full disk or another program
left them: a line that is not an object with a step is passed over and counted.
"""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from pydantic_core import from_json

from ganforge.errors import GanforgeError
from ganforge.files import replaced

LONGEST = 1 << 20
"""Bytes of a line; a longer one is none of ours, and is passed over without being held in memory."""

LARGEST = 2**63 - 1
"""A step above it is damage."""

SMALL = 16 << 20
"""Bytes up to which a file is rewritten line by line when a run goes back; a larger one is cut at its end."""

BLOCK = 1 << 16


class StepLines:
    """The objects of a file that have a `step`, in their order; none if there is no file.

    `passed_over` counts, after or during a walk, the lines that are not: torn, not JSON, not UTF-8, no object, without
    a whole number for its step. A last line without its end is none of them: somebody may be writing it.

    Args:
        path: of the file.

    Raises:
        GanforgeError: on walking, if the path is not a file or may not be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.passed_over = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self.passed_over = 0
        file = _opened(self.path)
        if file is None:
            return
        with file:
            for text in _lines(file):
                line = parsed(text)
                if line is not None:
                    yield line
                elif text.endswith(b"\n") and not text.isspace():
                    self.passed_over += 1


def parsed(text: bytes) -> dict[str, Any] | None:
    """The object of a line, or None if it is none that has a step."""
    try:
        line = from_json(text)  # four times as fast as the standard library's
    except ValueError:
        return None
    if type(line) is not dict:
        return None
    step = line.get("step")
    return line if type(step) is int and 0 <= step <= LARGEST else None


def last_of(path: Path, most: int = 1000) -> list[dict[str, Any]]:
    """The newest objects of a file, oldest first, read from its end.

    Raises:
        GanforgeError: the path is not a file or may not be read.
    """
    file = _opened(path)
    if file is None:
        return []
    with file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - most * 4096))
        if file.tell():
            file.readline(LONGEST)  # the rest of a line whose beginning is not read
        found = [line for text in _lines(file) if (line := parsed(text)) is not None]
    return found[-most:]


def sampled(path: Path, blocks: int = 256) -> Iterator[dict[str, Any]]:
    """Objects out of evenly spaced blocks of a file: what a long run was like, in a time that does not grow with it.

    A file of up to `blocks` blocks of 64 kB each is walked as a whole.
    """
    file = _opened(path)
    if file is None:
        return
    with file:
        size = file.seek(0, os.SEEK_END)
        is_whole = size <= blocks * BLOCK
        for begin in [0] if is_whole else [size * number // blocks for number in range(blocks)]:
            file.seek(begin)
            if begin:
                file.readline(LONGEST)
            for text in _lines(file):
                if (line := parsed(text)) is not None:
                    yield line
                if not is_whole and file.tell() - begin > BLOCK:
                    break


def approximate_count(path: Path) -> int:
    """How many lines a file has, by its size and its first lines."""
    file = _opened(path)
    if file is None:
        return 0
    with file:
        size, begin = os.fstat(file.fileno()).st_size, file.read(BLOCK)
    return size * max(1, begin.count(b"\n")) // max(1, len(begin))


def keep_up_to(path: Path, step: int) -> None:
    """Drop the lines after a step, and those that are odd; what is there ends with a whole line.

    A file of more than 16 MB is only looked at from its end backwards, up to the last line that stays.

    Raises:
        GanforgeError: the path is not a file or may not be read.
    """
    file = _opened(path)
    if file is None:
        return
    with file:
        size = os.fstat(file.fileno()).st_size
        if size > SMALL:
            kept_until = _end_of_kept(file, size, step)
        else:
            with replaced(path) as temporary, temporary.open("wb") as new:
                new.writelines(text.rstrip(b"\r\n") + b"\n" for text in _lines(file) if _stays(text, step))
            return
    os.truncate(path, kept_until)


def _stays(text: bytes, step: int) -> bool:
    line = parsed(text)
    return line is not None and line["step"] <= step


def _end_of_kept(file: BinaryIO, size: int, step: int) -> int:
    """Where the last whole line ends whose step is not above this one."""
    end = size
    while end > 0:
        begin = max(0, end - 16 * BLOCK)
        file.seek(begin)
        if begin:
            file.readline(LONGEST)
        begin = min(file.tell(), end)
        kept_until, position = None, begin
        file.seek(begin)
        for text in _lines(file):
            position += len(text)
            if position > end:
                break
            if text.endswith(b"\n") and _stays(text, step):
                kept_until = position
        if kept_until is not None:
            return kept_until
        end = begin if begin < end else max(0, end - 16 * BLOCK)
    return 0


def _opened(path: Path) -> BinaryIO | None:
    """The file for reading, None if there is none. A pipe or a device is not opened: it might never end."""
    try:
        if path.is_file():
            return path.open("rb")
        is_there = os.path.lexists(path)
    except OSError as error:
        raise GanforgeError(f"{path}: cannot be read: {error.strerror}") from error
    if is_there:
        raise GanforgeError(f"{path}: is not a file that can be read; move it away")
    return None


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines with their ends; of one that is too long only the end, which is no JSON."""
    is_inside = False
    for text in iter(partial(file.readline, LONGEST), b""):
        if is_inside:
            is_inside = not text.endswith(b"\n")
            if not is_inside:
                yield b"\0\n"
        elif len(text) == LONGEST and not text.endswith(b"\n"):
            is_inside = True
        else:
            yield text
