"""Environment variables in the paths of a recipe, as in `cache_dir = "$SLURM_TMPDIR"`."""

import copy
import os
import re
from collections.abc import Mapping
from typing import Any

from ganforge.errors import Problem
from ganforge.nested import dotted, is_table

PATHS = (
    ("output",),
    ("data", "path"),
    ("data", "target"),
    ("data", "source"),
    ("data", "cache_dir"),
    ("domain", "path"),
    ("evaluation", "data", "path"),
    ("evaluation", "data", "target"),
    ("evaluation", "data", "source"),
    ("evaluation", "domain", "path"),
    ("health", "held_out", "path"),
    ("evaluation", "extractor", "weights"),
)
"""Keys in which variables are expanded. All others are taken as they are."""

VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")


def expand(table: Mapping[str, Any], *, later: bool) -> tuple[dict[str, Any], list[Problem]]:
    """Put the values of environment variables into a recipe's paths.

    The paths as written are listed under `variables`, by key, so that two recipes with the same text describe the same
    run, whatever folder the job was given.

    Args:
        table: the recipe's tables.
        later: leave unset variables of `data` in place, for a job that will have them.

    Returns:
        tables, and a problem for each variable that is not set.
    """
    full, problems = copy.deepcopy(dict(table)), []
    written: dict[str, str] = {}
    for path in PATHS:
        *parents, last = path
        parent: Any = full
        for key in parents:
            parent = parent.get(key) if is_table(parent) else None
        text = parent.get(last) if is_table(parent) else None
        if not isinstance(text, str):
            continue
        names = ["".join(groups) for groups in VARIABLE.findall(text)]
        unset = [name for name in names if not os.environ.get(name)]
        if unset and not (later and parents):
            text = f"the environment variable {unset[0]} is not set; set it, or write a path"
            problems.append(Problem(dotted(path), text))
        elif names and not unset:
            parent[last] = VARIABLE.sub(lambda match: os.environ[match[1] or match[2]], text)
            written[dotted(path)] = text
    if written:
        known = full.get("variables")
        full["variables"] = {**(known if is_table(known) else {}), **written}
    return full, problems


def unset_in(text: str | None) -> list[str]:
    """Names of the variables in a path that have no value here."""
    return [name for groups in VARIABLE.findall(text or "") if not os.environ.get(name := "".join(groups))]


def as_written(table: Mapping[str, Any]) -> dict[str, Any]:
    """A resolved recipe's tables with the variables in the places of their values."""
    full = copy.deepcopy(dict(table))
    written = full.pop("variables", None)
    for path in PATHS:
        key = dotted(path)
        text = written.get(key) if is_table(written) else None
        *parents, last = path
        parent: Any = full
        for name in parents:
            parent = parent.get(name) if is_table(parent) else None
        if isinstance(text, str) and is_table(parent):  # nobody writes the table by hand, but somebody may have
            parent[last] = text
    return full
