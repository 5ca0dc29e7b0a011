"""`--trust`, of every command that opens what somebody else may have made."""

from typing import Annotated

import typer

from ganforge.trust import trusting


def _trust(context: typer.Context, value: bool) -> bool:
    if value:
        context.with_resource(trusting())
    return value


Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        callback=_trust,
        help="Import the plugins and run the `pipe:` commands that these files name; only if you trust their author.",
    ),
]
