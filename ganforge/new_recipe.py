"""A recipe of one's own: the text of another with its comments, fitted to the data that it is to train on.

Only what follows from the data is changed, each with a comment that says why: the path, classes, a metric that can be
had, augmentation for few pictures. What makes the other recipe what it is stays: networks, losses, batch and steps.
"""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from ganforge.building.networks import build_networks
from ganforge.building.source import build_source_parts
from ganforge.errors import GanforgeError
from ganforge.files import user_cache
from ganforge.fitting.choices import choose
from ganforge.fitting.common import evaluation, few_pictures
from ganforge.fitting.facts import Facts
from ganforge.fitting.look import facts_of, machine_at_hand
from ganforge.fitting.section import comment
from ganforge.fitting.write import check_new, open_shards_of, write_new
from ganforge.nested import is_table
from ganforge.recipe import load, parse, resolve
from ganforge.recipe_data import dataset_name
from ganforge.recipe_names import find
from ganforge.toml_files import decoded, tables_of
from ganforge.wording import counted

AS_STORED = ("name", "path", "size", "fit", "channels", "image_key", "stream")
"""Options of `shards` that say how pictures are stored; others, such as flip, are a choice about training."""


def write_recipe(file: Path, like: str, data: str | None = None) -> None:
    """Write a recipe that is like another one; its networks are made once, to see that they fit the data.

    Args:
        file: to be written; its name without the ending becomes the recipe's.
        like: a recipe file, or the name of a recipe that comes with ganforge.
        data: where shards lie, as `data.path` has it; None changes nothing but the name.

    Raises:
        GanforgeError: there is such a file, the data are no shards, or networks like these cannot make such samples.
        TrustError: the other recipe has plugins, and the user has not allowed them.
    """
    check_new(file)
    load(like, is_own=False)  # a mistake in it is told as its own, not as one of the new file
    before = parse(find(like))
    text = _named(decoded(find(like).read_bytes()), file, like)
    dataset = None
    if data is not None:
        table = _data_table(before, data)
        dataset = open_shards_of(file, data)
        text = _fitted(text, before, table, facts_of(dataset, machine_at_hand(user_cache())), like)
    _check_rest(before, tables_of(text), like)
    recipe = resolve(tables_of(text), str(file))
    if dataset is not None:
        parts = build_source_parts(recipe, dataset)
        build_networks(recipe, dataset, parts and parts.spec)
    write_new(file, text)


def _named(text: str, file: Path, like: str) -> str:
    """The new name, and a header that says whose the rest of the header is."""
    header = (
        f"Written by `ganforge new`, like {like}:", "", f"  ganforge train {shlex.quote(str(file))}", "",
        f"What {like} says of itself:", "",
    )  # fmt: skip
    line = f"{tomli_w.dumps({'name': file.stem}).strip()}  # of the run folder too"
    rest = re.sub(r"^name *=.*$", lambda _: line, text, count=1, flags=re.MULTILINE)
    return "".join(f"{line}\n" for text in header for line in comment(text) or ["#"]) + rest


def _data_table(before: Mapping[str, Any], path: str) -> dict[str, Any]:
    old = before["data"] if dataset_name(before) == "shards" and is_table(before["data"]) else {}
    kept = {key: value for key, value in old.items() if key not in AS_STORED}
    return {"name": "shards", "path": path, **kept}


def _fitted(text: str, before: Mapping[str, Any], table: dict[str, Any], facts: Facts, like: str) -> str:
    spec = facts.spec
    lines = [
        f"# {counted(facts.count, 'picture')}, {spec}. Size, channels and classes stand nowhere in a recipe:",
        "# both networks take them from the data.",
    ]
    looks_at_classes = re.search(r"^conditional *=", text, re.MULTILINE) is not None
    if spec.num_classes > 1 and not looks_at_classes:
        lines += comment(f"{like} does not look at classes; a network does if its option `conditional` says how.")
    if {"dcgan", "stylegan2"} & {*facts.families}:
        own = {section.header: section.values for section in choose(facts)}
        lines += comment(
            f"On {facts.machine} `ganforge new` by itself takes {own['generator']['name']}, "
            f"{own['training']['steps']:,} steps of {own['training']['batch_size']}."
        )
    text = _with_table(text, "data", ["[data]", *lines, *tomli_w.dumps(table).strip().splitlines()], like)
    if spec.num_classes < 2:
        text = re.sub(
            r"^(conditional *= *[^#\n]*[^#\s]).*$", r"# \1: these pictures have no classes", text, flags=re.MULTILINE
        )
    metric = evaluation(facts, every=5000).lines()
    if "evaluation" not in before:
        text = f"{text.rstrip()}\n\n{_joined(metric)}"
    elif dataset_name(before) != "shards":
        reason = comment(f"The metric of {like} is made for its own data, '{dataset_name(before)}'.")
        text = _with_table(text, "evaluation", [*reason, *metric], like)
    if "augment" not in before and (sections := few_pictures(facts)):
        text = "\n".join([text.rstrip(), *("\n" + _joined(section.lines()) for section in sections)])
    return text


def _joined(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _with_table(text: str, name: str, block: list[str], like: str) -> str:
    """The text with a table and the tables below it replaced by other lines.

    Raises:
        GanforgeError: the table is not written under a header of its own.
    """
    lines = text.splitlines()
    if f"[{name}]" not in (line.strip() for line in lines):
        raise GanforgeError(f"{like}: has no header [{name}], so it cannot be rewritten; copy it and edit the copy")
    start = next(number for number, line in enumerate(lines) if line.strip() == f"[{name}]")
    end = start + 1
    while end < len(lines) and not (lines[end].startswith("[") and not re.match(rf"\[+{name}[.\]]", lines[end])):
        end += 1
    if end < len(lines):
        while lines[end - 1].startswith("#"):  # what is said above a header belongs to that
            end -= 1
    return "\n".join([*lines[:start], *block, *([""] if end < len(lines) else []), *lines[end:]]) + "\n"


def _check_rest(before: Mapping[str, Any], after: Mapping[str, Any], like: str) -> None:
    """Refuse to write what differs in more than was meant: any text that is TOML may come in here."""

    def rest(tables: Mapping[str, Any]) -> dict[str, Any]:
        added = () if "augment" in before else ("augment",)
        tables = {key: value for key, value in tables.items() if key not in ("name", "data", "evaluation", *added)}
        for player in ("generator", "discriminator"):
            if is_table(tables.get(player)):
                tables[player] = {key: value for key, value in tables[player].items() if key != "conditional"}
        return tables

    if rest(before) != rest(after):
        raise GanforgeError(f"{like}: is laid out in a way that cannot be rewritten; copy it and edit the copy")
