"""`ganforge list` and `ganforge show`: the manual of every component and table, from signatures and docstrings."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console
    from rich.table import Table as RichTable

    from ganforge.manual import Row, Table
    from ganforge.registry import Component, Kind

Plugins = Annotated[
    list[str] | None, typer.Option("--plugin", metavar="MODULE", help="Import a module that registers components.")
]


def list_components(
    kind: Annotated[
        str | None, typer.Argument(help="One kind only, such as generator; or recipe.", show_default=False)
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="As one table of markdown, for a README.")] = False,
    plugin: Plugins = None,
) -> None:
    """List components by kind, the recipes that come along, and the tables of a recipe.

    Those of other packages' entry points are named without being imported.
    """
    from rich.console import Console

    from ganforge.manual import recipe_tables
    from ganforge.recipe_names import recipes, summaries
    from ganforge.registry import load_plugins, register

    load_plugins(plugin or [])
    if kind in ("recipe", "recipes"):
        listed = [("recipe", "recipes", summaries().items())]
    else:
        kinds = [register.kind(kind)] if kind else list(register.kinds().values())
        listed = [(shelf.name, shelf.plural, shelf.summaries()) for shelf in kinds]
    if markdown:
        typer.echo("| kind | name | what it is |\n|---|---|---|")
        for one, _, names in listed:
            for name, what in names:
                typer.echo(f"| {one} | `{name}` | {what.replace('|', chr(92) + '|')} |")
        return
    console = Console()
    for _, title, names in listed:
        print_names(console, title, names)
    if not kind:
        console.print("recipes that come along, for `ganforge train`; `ganforge list recipe` says more", style="italic")
        console.print(f"{', '.join(recipes())}\n", highlight=False)
        console.print("tables of a recipe, for `ganforge show`", style="italic")
        console.print(f"{', '.join(recipe_tables())}\n", highlight=False)


def print_names(console: "Console", title: str, names: "Iterable[tuple[str, str]]") -> None:
    """Names and what they are, as a table."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 2))
    for name, what in names:
        table.add_row(f"[bold]{name}", escape(what))
    console.print(table, end="\n\n")


def show(
    name: Annotated[
        str,
        typer.Argument(help="A component, or a table such as training, data or tracking.wandb.", show_default=False),
    ],
    kind: Annotated[str | None, typer.Option(help="Its kind, if several have the name.")] = None,
    plugin: Plugins = None,
) -> None:
    """Show a component or a table of a recipe: what it is, its options with types and defaults.

    `ganforge show recipe` names all the tables.
    """
    from rich.console import Console

    from ganforge.errors import RegistryError
    from ganforge.manual import recipe_tables, tables_called
    from ganforge.registry import load_plugins, register
    from ganforge.wording import did_you_mean

    load_plugins(plugin or [])
    shelves = [register.kind(kind)] if kind else list(register.kinds().values())
    found = [shelf for shelf in shelves if shelf.knows(name)]
    tables = [] if kind else tables_called(name)
    if not found and not tables:
        names = {other for shelf in shelves for other in shelf.names()} | (set() if kind else set(recipe_tables()))
        what = "component" if kind else "component or table"
        raise RegistryError(f"no {what} is called '{name}'{did_you_mean(name, names)}; see `ganforge list`")
    console = Console()
    for table in tables:
        _print_table(console, table)
    for shelf in found:
        _print_component(console, shelf, shelf.get(name))


def _print_table(console: "Console", table: "Table") -> None:
    from rich.markup import escape

    _print_doc(console, f"table {escape(table.header)}" if table.name != "recipe" else "recipe", table.doc)
    rows = table.rows()
    console.print(_options("options", rows) if rows else "no options")
    if table.holds is not None:
        console.print(
            f"and the options of the {table.holds.name} that it names: ganforge list {table.holds.name}",
            highlight=False,
        )
    console.print()


def _print_component(console: "Console", shelf: "Kind", component: "Component") -> None:
    from ganforge.manual import own_rows, shared_rows

    _print_doc(console, f"{shelf.name} {component.name}", component.doc)
    own, shared = own_rows(component), shared_rows(shelf)
    console.print(_options("options", own) if own else "no options of its own" if shared else "no options")
    if shared:
        console.print(_options(f"every {shelf.name} also takes", shared))
    console.print(
        f"from {component.package}, {component.origin}\n     {component.file}\n", highlight=False, soft_wrap=True
    )


def _print_doc(console: "Console", title: str, doc: str) -> None:
    from docstring_parser import parse
    from rich.markup import escape

    parsed = parse(doc)
    console.print(f"[bold]{title}[/]: {escape(parsed.short_description or '')}")
    if parsed.long_description:
        console.print(f"\n{escape(_unwrapped(parsed.long_description))}", highlight=False)


def _options(title: str, rows: "list[Row]") -> "RichTable":
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in ("option", "type", "default", "what it does"):
        table.add_column(column, no_wrap=column == "option")
    for row in rows:
        default = "[bold]required" if row.default is None else escape(row.default)
        table.add_row(row.key, escape(row.type), default, escape(row.what))
    return table


def _unwrapped(text: str) -> str:
    """Paragraphs without their line breaks, for a terminal of any width; lists keep theirs."""
    import re

    return re.sub(r"(?<=\S)\n(?![\s\-*|])", " ", text)
