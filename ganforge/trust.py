"""Files from other people run no code unless the user allows it.

A recipe that somebody names to `train` is their own: its plugins are imported and its `pipe:` commands are run. What
comes out of a run folder, a generator file or a hub may have been made by anyone. It is data until the person at the
keyboard says `--trust`, or a program `trust=True`.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ganforge.arguments import argument
from ganforge.errors import TrustError

_trusts: ContextVar[bool] = ContextVar("trusts", default=False)

PIPE = "pipe:"


@contextmanager
def trusting(trust: bool = True) -> Iterator[None]:
    """While inside, other people's plugins and commands may run if `trust`; an outer trust stays."""
    token = _trusts.set(trust or _trusts.get())
    try:
        yield
    finally:
        _trusts.reset(token)


def check_plugins(modules: Iterable[str], source: str) -> None:
    """Refuse to import modules that somebody else's file names; modules already imported run nothing more.

    Raises:
        TrustError: naming the file and the modules.
    """
    new = [module for module in modules if module not in sys.modules]
    if new and not _trusts.get():
        raise TrustError(f"{source}: its plugins would be imported, which runs their code: {', '.join(new)}; {_REMEDY}")


def check_commands(value: Any, source: str) -> None:
    """Refuse `pipe:` commands anywhere in the tables, lists and texts of somebody else's file.

    Raises:
        TrustError: naming the file and the command.
    """
    if _trusts.get():
        return
    command = next(_commands(value), None)
    if command is not None:
        shown = command if len(command) <= 80 else f"{command[:77]}..."
        raise TrustError(f"{source}: would run a command, {shown!r}; {_REMEDY}")


def _commands(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from (part for part in value.split("::") if part.lstrip().startswith(PIPE))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _commands(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _commands(item)


_REMEDY = f"add {argument('trust', True)} if you trust whoever wrote it"
