"""`ganforge list` and `ganforge show`: the manual of every component, from its signature and docstring."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from ganforge.registry import Component, Kind

Plugins = Annotated[
    list[str] | None, typer.Option("--plugin", metavar="MODULE", help="Import a module that registers components.")
]


def list_components(
    kind: Annotated[str | None, typer.Argument(help="One kind only, such as generator.", show_default=False)] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="As one table of markdown, for a README.")] = False,
    plugin: Plugins = None,
) -> None:
    """List components by kind; those of other packages' entry points are named without being imported."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from ganforge.registry import load_plugins, register

    load_plugins(plugin or [])
    kinds = [register.kind(kind)] if kind else list(register.kinds().values())
    if markdown:
        typer.echo("| kind | name | what it is |\n|---|---|---|")
        for shelf in kinds:
            for name, what in _summaries(shelf):
                typer.echo(f"| {shelf.name} | `{name}` | {what.replace('|', chr(92) + '|')} |")
        return
    console = Console()
    for shelf in kinds:
        table = Table(title=shelf.plural, title_justify="left", show_header=False, box=None, padding=(0, 2))
        for name, what in _summaries(shelf):
            table.add_row(f"[bold]{name}", escape(what))
        console.print(table, end="\n\n")


def _summaries(shelf: "Kind") -> "Iterator[tuple[str, str]]":
    """Names and what they are; an entry point that was not imported is named by where it is."""
    from ganforge.registry import describe_entry_point

    loaded = {component.name: component for component in shelf.loaded()}
    for name in shelf.names():
        if name in loaded:
            yield name, loaded[name].summary
        else:
            yield name, f"entry point {' and '.join(describe_entry_point(point) for point in shelf.entry_points(name))}"


def show(
    name: Annotated[str, typer.Argument(help="Name of a component.", show_default=False)],
    kind: Annotated[str | None, typer.Option(help="Its kind, if several have the name.")] = None,
    plugin: Plugins = None,
) -> None:
    """Show a component: what it is, its options with types and defaults, and where it comes from."""
    from rich.console import Console

    from ganforge.errors import RegistryError
    from ganforge.options import did_you_mean
    from ganforge.registry import load_plugins, register

    load_plugins(plugin or [])
    shelves = [register.kind(kind)] if kind else list(register.kinds().values())
    found = [shelf for shelf in shelves if shelf.knows(name)]
    if not found:
        names = {other for shelf in shelves for other in shelf.names()}
        raise RegistryError(f"no component is called '{name}'{did_you_mean(name, names)}; see `ganforge list`")
    console = Console()
    for shelf in found:
        _print(console, shelf, shelf.get(name))


def _print(console: "Console", shelf: "Kind", component: "Component") -> None:
    import inspect

    from docstring_parser import parse
    from rich.markup import escape
    from rich.table import Table

    from ganforge.options import type_name

    parsed = parse(inspect.getdoc(component.factory) or "")
    console.print(f"[bold]{shelf.name} {component.name}[/]: {escape(parsed.short_description or '')}")
    if parsed.long_description:
        console.print(f"\n{escape(_unwrapped(parsed.long_description))}", highlight=False)
    table = Table(title="options", title_justify="left")
    for column in ("option", "type", "default", "what it does"):
        table.add_column(column)
    for option, field in component.options.model_fields.items():
        default = "[bold]required" if field.is_required() else escape(_toml(field.default))
        annotation = field.rebuild_annotation()
        table.add_row(option, escape(type_name(annotation)), default, escape(component.option_docs.get(option, "")))
    console.print(table if component.options.model_fields else "no options")
    console.print(
        f"from {component.package}, {component.origin}\n     {component.file}\n", highlight=False, soft_wrap=True
    )


def _unwrapped(text: str) -> str:
    """Paragraphs without their line breaks, for a terminal of any width; lists keep theirs."""
    import re

    return re.sub(r"(?<=\S)\n(?![\s\-*|])", " ", text)


def _toml(value: object) -> str:
    import json

    return "" if value is None else json.dumps(value)
