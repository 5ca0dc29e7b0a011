"""A fitted recipe as a file: its text, checked before it is written."""

import os
import re
import shlex
from pathlib import Path

import tomli_w

from ganforge.building.networks import build_networks
from ganforge.building.parts import build_dataset
from ganforge.data.dataset import Dataset
from ganforge.errors import GanforgeError
from ganforge.files import user_cache
from ganforge.fitting.choices import choose
from ganforge.fitting.facts import Facts
from ganforge.fitting.look import facts_of, machine_at_hand
from ganforge.fitting.section import Section, comment
from ganforge.recipe import resolve
from ganforge.recipe_names import SUFFIX
from ganforge.toml_files import tables_of
from ganforge.wording import counted, printable


def write_fitted(file: Path, data: str) -> str:
    """Write a recipe for shards and the machine at hand; its networks are made once, to see that they fit.

    Args:
        file: to be written; its name without the ending becomes the recipe's.
        data: where shards lie, as `data.path` has it.

    Returns:
        a line that says for what it was chosen.

    Raises:
        GanforgeError: there is such a file, the data are no shards, or no network can make such pictures.
    """
    check_new(file)
    dataset = open_shards_of(file, data)
    facts = facts_of(dataset, machine_at_hand(user_cache()))
    if not {"dcgan", "stylegan2"} & {*facts.families}:
        remedy = "pack the pictures again with another `ganforge data pack --size`"
        raise GanforgeError(f"{data}: no network can make {facts.spec}; {remedy}")
    text = fitted_text(file, data, facts)
    build_networks(resolve(tables_of(text), str(file)), dataset)
    write_new(file, text)
    return f"{file}: written for {_told(facts)}; its comments say why"


def fitted_text(file: Path, data: str, facts: Facts) -> str:
    """The text of a recipe, the same for the same facts."""
    name = tomli_w.dumps({"name": file.stem}).strip()
    header = [
        *comment(f"Chosen by `ganforge new` for {_told(facts)}:"),
        "#",
        *comment(f"  ganforge train {shlex.quote(str(file))}"),
        "#",
        *comment(
            "Each table says why it is as it is, and after whom. These are good values to begin with, and yours to "
            "change."
        ),
        f"{name}  # of the run folder too",
    ]
    sections = [_data(data), *choose(facts)]
    return "\n\n".join("\n".join(lines) for lines in (header, *(section.lines() for section in sections))) + "\n"


def _told(facts: Facts) -> str:
    return f"{counted(facts.count, 'picture')} of {facts.spec} and {facts.machine}"


def _data(path: str) -> Section:
    return Section(
        "data",
        {"name": "shards", "path": path},
        (
            "Size, channels and classes stand nowhere in a recipe: both networks take them from the data. Where a "
            "mirror image is as good as the picture, flip = true doubles their number; letters, digits and signs it "
            "would spoil.",
        ),
    )


def open_shards_of(file: Path, data: str) -> Dataset:
    """The dataset that a recipe with this `data.path` would have.

    Raises:
        GanforgeError: there is none, or its path is no text.
    """
    if data != printable(data):
        raise GanforgeError(f"{printable(data)}: is not UTF-8, which TOML has to be; rename the folder")
    some = {"data": {"name": "shards", "path": data}, "generator": "dcgan", "discriminator": "dcgan"}
    return build_dataset(resolve({**some, "name": file.stem, "training": {"steps": 1}}, str(file)))


def check_new(file: Path) -> None:
    """Refuse what is no name for a new recipe, before anything is done for it.

    Raises:
        GanforgeError: its ending is another, its name no run folder's, or there is such a file.
    """
    if file.suffix != SUFFIX:
        raise GanforgeError(f"{file}: a recipe's file ends in {SUFFIX}; write {file}{SUFFIX}")
    if file.exists():
        raise GanforgeError(f"{file}: exists and is not overwritten; choose another name, or remove it")
    if not file.parent.is_dir():
        raise GanforgeError(f"{file}: there is no folder {file.parent}; make it, or choose another place")


def write_new(file: Path, text: str) -> None:
    """Write a file that is there whole or not at all, and never in place of another.

    Raises:
        GanforgeError: there is one meanwhile, or it cannot be written.
    """
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.link(temporary, file)  # unlike a renaming, it fails if another process has written it meanwhile
    except OSError as error:
        raise GanforgeError(f"{file}: cannot be written: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)


def name_for(data: str) -> str:
    """A recipe's name after its data: the last word of a path or url, of characters that a run folder may have."""
    last = re.split(r"[/:]", re.sub(r"[?#].*", "", data).rstrip("/"))[-1]
    if Path(data).expanduser().exists():
        last = Path(data).expanduser().resolve().name
    stem = re.sub(r"\.(zip|npz|npy|tgz|tar(\.\w+)?)$", "", last, flags=re.IGNORECASE)
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:100] or "mine"
