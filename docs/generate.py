"""Pages out of the program itself: every part, every table of a recipe, every command.

A hook of MkDocs, named in `mkdocs.yml`.
"""

import inspect
from collections.abc import Iterator
from typing import Any

from docstring_parser import parse
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from typer.main import get_command

from ganforge.cli.main import app
from ganforge.kind import Kind
from ganforge.manual import Row, own_rows, recipe_tables, shared_rows
from ganforge.registry import register


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that nobody writes by hand."""
    pages = {"parts/index.md": parts(), "tables.md": tables(), "commands.md": commands()}
    pages |= {f"parts/{kind.name}.md": parts_of(kind) for kind in register.kinds().values()}
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def parts() -> str:
    """One table of all parts, each linked to its manual."""
    lines = ["# Parts", "", "What `ganforge list` prints. `ganforge show NAME` is each one's manual in the terminal."]
    for kind in register.kinds().values():
        lines += ["", f"## {kind.plural.capitalize()}", "", "| name | what it is |", "|---|---|"]
        for component in kind.loaded():
            lines.append(f"| [`{component.name}`]({kind.name}.md#{component.name}) | {cell(component.summary)} |")
    return "\n".join(lines)


def parts_of(kind: Kind) -> str:
    """The manual of every part of a kind."""
    lines = [f"# {kind.plural.capitalize()}"]
    if shared := shared_rows(kind):
        lines += ["", f"Every {kind.name} also takes:", "", *options(shared)]
    for component in kind.loaded():
        doc = parse(inspect.getdoc(component.factory) or "")
        lines += ["", f"## `{component.name}` {{ #{component.name} }}", "", doc.short_description or ""]
        lines += ["", doc.long_description or "", "", *options(own_rows(component))]
    return "\n".join(lines)


def tables() -> str:
    """Every table of a recipe."""
    lines = ["# Tables of a recipe", "", "What `ganforge show TABLE` prints."]
    for table in recipe_tables().values():
        title = "Above all tables" if table.name == "recipe" else f"`{table.header}`"
        lines += ["", f"## {title}", "", table.doc, ""]
        lines += options(table.rows())
        if table.holds is not None:
            lines += ["", f"And the options of the [{table.holds.name}](parts/{table.holds.name}.md) that it names."]
    return "\n".join(lines)


def options(rows: list[Row]) -> list[str]:
    """A table of options."""
    if not rows:
        return ["No options."]
    lines = ["| option | type | default | what it does |", "|---|---|---|---|"]
    for row in rows:
        default = "**required**" if row.default is None else f"`{row.default}`" if row.default else ""
        lines.append(f"| `{row.key}` | {cell(code(row.type))} | {cell(default)} | {cell(row.what)} |")
    return lines


def commands() -> str:
    """Every command with its arguments and options."""
    lines = ["# Command line"]
    for path, command in _commands(get_command(app), "ganforge"):
        lines += ["", f"## {path}", "", inspect.cleandoc(command.help or ""), "", "| argument | default | what it is |"]
        lines += ["|---|---|---|"]
        for parameter in command.params:
            is_option = parameter.param_type_name == "option"
            name = ", ".join(parameter.opts + parameter.secondary_opts) if is_option else parameter.name.upper()
            default = "" if parameter.default in (None, False, ()) or callable(parameter.default) else parameter.default
            what = getattr(parameter, "help", "") or ""
            lines.append(f"| `{name}` | {cell(code(str(default)))} | {cell(what)} |")
    return "\n".join(lines)


def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every command that is not a group, with its name in full. Typer's classes are not always those of click."""
    if hasattr(command, "commands"):
        for name, below in command.commands.items():
            yield from _commands(below, f"{path} {name}")
    else:
        yield path, command


def code(text: str) -> str:
    return f"`{text}`" if text else ""


def cell(text: str) -> str:
    """Text in a table: without line breaks and without the table's own sign."""
    return " ".join(text.split()).replace("|", "\\|")
