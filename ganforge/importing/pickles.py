"""From a pickle to a folder: find its family, and check that every tensor fits a component of ganforge."""

from pathlib import Path

import torch

from ganforge.errors import CheckpointError, Problem
from ganforge.importing.folder import check_free, write_folder
from ganforge.importing.found import Found, Network, Unfit
from ganforge.importing.r3gan import is_r3gan, r3gan
from ganforge.importing.restricted import read_pickle
from ganforge.importing.stylegan2 import is_stylegan2, stylegan2
from ganforge.options import validate
from ganforge.registry import register
from ganforge.spec import DataSpec


def import_pickle(path: Path, out: Path) -> str:
    """Read a pickle of StyleGAN2-ADA, StyleGAN3 (its StyleGAN2) or R3GAN and write it as an import's folder.

    Returns:
        lines that say what was written.

    Raises:
        CheckpointError: the file is not such a pickle, asks for more than networks, or its networks fit no component.
        GanforgeError: `out` holds something else or cannot be written.
    """
    check_free(out)
    found = networks_of(path)
    write_folder(out, path, found)
    return _told(out, found)


def networks_of(path: Path) -> Found:
    """The networks of a pickle, each checked against its component.

    Raises:
        CheckpointError: as `import_pickle`.
    """
    parts = read_pickle(path)
    try:
        if is_stylegan2(parts):
            found = stylegan2(parts)
        elif is_r3gan(parts):
            found = r3gan(parts)
        else:
            raise Unfit("no generator of StyleGAN2 or R3GAN under G_ema or G")
        for name, network in found.networks.items():
            _check(name, network, found.spec)
    except Unfit as error:
        raise CheckpointError(f"{path}: cannot be imported: it has {error}") from error
    return found


def _check(name: str, network: Network, spec: DataSpec) -> None:
    """Check that every key of the component has a tensor of its shape, and that no tensor is left over.

    Raises:
        Unfit: a tensor is missing, left over or of another shape, or a number is not finite.
    """
    role = "discriminator" if name == "discriminator" else "generator"
    component = register.kind(role).get(network.table["name"])
    table = {key: value for key, value in network.table.items() if key != "name"}
    options, problems = validate(component.options, table, (role,))
    if options is None:
        raise Unfit(f"options that '{component.name}' does not take: {_in_words(problems)}")
    try:
        with torch.device("meta"):
            ours = component.build(options, spec=spec).state_dict()
    except ValueError as error:
        raise Unfit(f"a {role} that '{component.name}' cannot be: {error}") from error
    theirs = network.tensors
    wrong = sorted({key for key in {*ours, *theirs} if key not in ours or key not in theirs})
    wrong += [key for key in ours if key in theirs and ours[key].shape != theirs[key].shape]
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise Unfit(f"a {role} that is not '{component.name}' in '{wrong[0]}'{more}: not made by the published code")
    broken = [key for key, tensor in theirs.items() if not bool(tensor.isfinite().all())]
    if broken:
        raise Unfit(f"numbers in '{broken[0]}' that are not finite")


def _in_words(problems: list[Problem]) -> str:
    return "; ".join(map(str, problems))


def _told(out: Path, found: Found) -> str:
    named = {"averaged": "averaged generator", "generator": "generator", "discriminator": "discriminator"}
    networks = ", ".join(
        f"{named[name]} '{network.table['name']}' ({sum(t.numel() for t in network.tensors.values()):,} numbers)"
        for name, network in found.networks.items()
    )
    lines = [f"{out}: {found.spec}: {networks}"]
    if found.ada_probability is not None:
        lines.append(f"ADA ended at a probability of {found.ada_probability:.3f}")
    lines.append(f"tables for a recipe that goes on from here: {out / 'networks.toml'}")
    return "\n".join(lines)
