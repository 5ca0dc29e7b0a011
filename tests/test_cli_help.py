"""`--help` of every command, as a terminal of 80 columns shows it."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from ganforge.cli.main import app


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))


COMMANDS = dict(commands(typer.main.get_command(app)))
PARAGRAPH = "\n\n"


def test_all_commands_are_looked_at() -> None:
    assert {(), ("train",), ("data", "pack"), ("bench", "train"), ("recipe", "check")} <= set(COMMANDS)


@pytest.mark.parametrize("columns", [60, 80, 110])
@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: " ".join(path) or "ganforge")
def test_help_fits_and_no_line_ends_where_the_source_has_one(path: tuple[str, ...], columns: int) -> None:
    done = CliRunner().invoke(app, [*path, "--help"], terminal_width=columns)
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert max(map(len, lines)) <= columns
    words = " ".join(done.output.split())
    for paragraph in (COMMANDS[path].help or "").split(PARAGRAPH):
        assert " ".join(paragraph.split()) in words
    end = next(i for i, line in enumerate(lines) if line in ("Arguments:", "Options:"))
    for line, following in pairwise(lines[:end]):
        if line.startswith("  ") and following.strip():
            assert len(line) + 1 + len(following.split()[0]) > columns - 2, f"{line!r} breaks before {following!r}"


@pytest.mark.parametrize("path", [path for path, command in COMMANDS.items() if hasattr(command, "commands")], ids=str)
def test_the_list_of_commands_is_whole_sentences(path: tuple[str, ...]) -> None:
    output = CliRunner().invoke(app, [*path, "--help"], terminal_width=80).output
    for name, command in COMMANDS[path].commands.items():
        assert f"{name} {' '.join(command.help.partition(PARAGRAPH)[0].split())}" in " ".join(output.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("data", "pack", "a", "b", "--crop", "middle"), "'--crop': 'middle' is not one of 'center', 'celeba', 'none'"),
        (("train", "a.toml", "--resume", "maybe"), "'--resume': 'maybe' is not one of 'auto', 'must', 'never'"),
    ],
)
def test_a_wrong_choice_is_told_in_plain_words(ganforge: Callable[..., Any], arguments, message: str) -> None:
    done = ganforge(*arguments)
    assert done.code == 2
    assert f"Invalid value for {message}" in " ".join(done.err.split())
