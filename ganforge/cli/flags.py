"""Arguments in messages, written as the options that are typed on the command line."""

import ast
import re
import shlex
from collections.abc import Iterator, Sequence

from typer.core import TyperCommand, TyperGroup, TyperOption

Command = TyperCommand | TyperGroup
ARGUMENT = re.compile(r"""`([a-z]\w*)=('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^`\n]+)`""")


def with_flags(message: str, command: object, commands: object = None) -> str:
    """A message with `--restart` where it says `restart=True`.

    Args:
        message: in which arguments are as `ganforge.arguments` writes them.
        command: that prints it, and says what its options are called: `num` is `--n` of one and `--num` of another.
        commands: a group in which options are looked up that the command does not have.
    """
    options = {option.name: option for one in _below(commands) for option in options_of(one)}
    options |= {option.name: option for option in options_of(command)}

    def typed(found: re.Match[str]) -> str:
        option = options.get(found[1])
        return found[0] if option is None else _typed(option, found[2])

    return ARGUMENT.sub(typed, message)


def named(commands: TyperGroup, words: Sequence[str]) -> object:
    """The command that the first words name."""
    command: object = commands
    for word in words:
        if not isinstance(command, TyperGroup) or word not in command.commands:
            break
        command = command.commands[word]
    return command


def options_of(command: object) -> list[TyperOption]:
    """Options that a command takes."""
    parameters = command.params if isinstance(command, Command) else []
    return [parameter for parameter in parameters if isinstance(parameter, TyperOption)]


def _below(command: object) -> Iterator[object]:
    yield command
    if isinstance(command, TyperGroup):
        for one in command.commands.values():
            yield from _below(one)


def _typed(option: TyperOption, written: str) -> str:
    try:
        value = ast.literal_eval(written)
    except (SyntaxError, ValueError):
        return f"{option.opts[0]} {written}"
    if value is ... or value is True:
        return option.opts[0]
    if value is False:
        return option.secondary_opts[0] if option.secondary_opts else option.opts[0]
    values = value if isinstance(value, list) else [value]
    return " ".join(f"{option.opts[0]} {shlex.quote(str(one))}" for one in values)
